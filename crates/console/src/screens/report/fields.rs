//! Fields of the form above a report.

use pages::{Choice, Control, Field, InputKind};

use crate::context::Context;
use crate::picker::{self, PickerKind};
use crate::report::kind::Group;
use crate::report::period::{Bucket, Preset};
use crate::report::state::{MAX_GROUPS, ReportState};

/// Returns the fields of the form above the report.
pub(super) fn fields(state: &ReportState) -> Vec<Field> {
    let presets = Preset::ALL
        .iter()
        .map(|preset| (preset.as_str(), preset.label()))
        .collect();
    let mut fields = vec![Field::new(
        "range",
        "Period",
        choices(presets, state.period.preset.as_str()),
    )];
    let time = |name: &str, label: &str, value: &str| {
        Field::input(InputKind::DateTime, name, label).value(value)
    };
    let (start, end) = (state.period.start(), state.period.end());
    let zone = &state.period.zone;
    fields.push(time("from", "From", &zone.field_value(start)));
    fields.push(time("to", "To", &zone.field_value(end)));
    if !state.kind.is_cost() {
        let mut widths = vec![("", "Automatic")];
        widths.extend(
            Bucket::ALL
                .iter()
                .map(|width| (width.as_str(), width.label())),
        );
        fields.push(Field::new(
            "bucket",
            "Buckets",
            choices(widths, &state.bucket),
        ));
    }
    fields.extend(
        (0..MAX_GROUPS.min(state.kind.groups.len())).map(|position| group_field(state, position)),
    );
    if state.kind.metrics.len() > 1 {
        let metrics = state
            .kind
            .metrics
            .iter()
            .map(|metric| (metric.name, metric.label))
            .collect();
        let chosen = state.kind.metrics[state.metric].name;
        fields.push(Field::new(
            "metric",
            "Chart shows",
            choices(metrics, chosen),
        ));
    }
    fields
}

/// Returns a list of options that opens.
fn choices(all: Vec<(&str, &str)>, chosen: &str) -> Control {
    let choice = |(value, label): (&str, &str)| Choice::new(value, label).chosen(value == chosen);
    Control::Select(all.into_iter().map(choice).collect())
}

/// Returns the field of the dimension at this position by which the report is grouped.
fn group_field(state: &ReportState, position: usize) -> Field {
    let chosen = state.groups.get(position);
    let chosen = chosen.map_or("", |group| group.as_str());
    let (label, none) = match position {
        0 => ("Group by", "Everything"),
        _ => ("and by", "\u{2014}"),
    };
    let all = state.kind.groups.iter();
    let mut groups = vec![("", none)];
    groups.extend(all.map(|group| (group.as_str(), group.label())));
    Field::new("group", label, choices(groups, chosen))
}

/// Returns the fields of the filters, whose options are searched on the server.
pub(super) async fn filter_fields(context: &Context<'_>, state: &ReportState) -> Vec<Field> {
    let mut fields = Vec::new();
    for group in state.kind.groups {
        let Some(name) = group.filter() else { continue };
        let own = state.filters.iter().find(|(own, _)| own == group);
        let values = own.map_or(&[][..], |(_, values)| values);
        let kind = match group {
            Group::Project => PickerKind::Projects,
            Group::User => PickerKind::Users,
            Group::Key => PickerKind::Keys,
            Group::Model => PickerKind::Models,
            _ => {
                let field = Field::input(InputKind::Text, name, group.label());
                let value = values.first().cloned().unwrap_or_default();
                fields.push(field.value(value).help("The full name."));
                continue;
            }
        };
        let chosen: Vec<&str> = values.iter().map(String::as_str).collect();
        let options = picker::options(context, kind, &chosen).await;
        let control = Control::Picker {
            source: kind.address(context),
            choices: picker::marked(&options, &context.query, name),
            is_multiple: true,
            has_more: options.has_more,
        };
        fields.push(Field::new(name, group.label(), control));
    }
    fields
}
