//! Filters of the audit log, which are the query of its address.

use std::collections::BTreeMap;

use base::{EventType, UnixTime};
use pages::{Choice, Control, Field, InputKind, Link};

use crate::context::Context;

/// Maximum number of values of a filter.
const MAX_VALUES: usize = 50;

/// Filters of the audit log.
#[derive(Clone, Debug, Default)]
pub(crate) struct AuditFilter {
    /// Types that entries must have one of; all if empty.
    types: Vec<String>,
    /// Times as the fields have them.
    from: String,
    to: String,
    /// Times in seconds.
    start: Option<UnixTime>,
    end: Option<UnixTime>,
    /// Values by parameter.
    values: BTreeMap<&'static str, Vec<String>>,
    is_tenant_only: bool,
}

/// Filters with values, their labels and examples.
const VALUES: [(&str, &str, &str); 4] = [
    ("project_ids", "Project", "proj_…"),
    ("actor_ids", "Actor", "user-…, svc_acct_… or key_…"),
    ("actor_emails", "Actor's e-mail", "name@example.com"),
    ("resource_ids", "Target", "any id"),
];

impl AuditFilter {
    /// Reads the filters of a query.
    pub(crate) fn read(context: &Context<'_>) -> Self {
        let query = &context.query;
        let zone = &context.preferences.zone;
        let text = |name| query.text(name).unwrap_or_default().to_owned();
        let (from, to) = (text("from"), text("to"));
        let values = VALUES.iter().map(|(name, _, _)| {
            let words = query.all(name).flat_map(|value| value.split([',', ' ']));
            let words = words.filter(|word| !word.is_empty()).take(MAX_VALUES);
            (*name, words.map(str::to_owned).collect())
        });
        Self {
            types: query
                .all("event_types")
                .filter(|kind| EventType::parse(kind).is_some())
                .take(MAX_VALUES)
                .map(str::to_owned)
                .collect(),
            start: zone.parse_field(&from),
            end: zone.parse_field(&to),
            from,
            to,
            values: values.collect(),
            is_tenant_only: query.get("tenant_only") == Some("true"),
        }
    }

    /// Returns the names of all types of this program. The operation leaves those of its own out unless they are named.
    pub(crate) fn all_types() -> impl Iterator<Item = &'static str> {
        EventType::NAMES.iter().copied()
    }

    /// True if any filter restricts the list.
    pub(crate) fn is_filtered(&self) -> bool {
        !self.pairs().is_empty()
    }

    /// Returns the parameters of the operation.
    pub(crate) fn parameters(&self) -> Vec<(&'static str, String)> {
        let mut parameters: Vec<(&'static str, String)> = Vec::new();
        if self.is_tenant_only {
            parameters.push(("tenant_only", "true".to_owned()));
            parameters.extend(self.types.iter().map(|kind| ("event_types", kind.clone())));
        } else if self.types.is_empty() {
            parameters.extend(Self::all_types().map(|kind| ("event_types", kind.to_owned())));
        } else {
            parameters.extend(self.types.iter().map(|kind| ("event_types", kind.clone())));
        }
        parameters.extend(
            self.start
                .map(|start| ("effective_at[gte]", start.0.to_string())),
        );
        parameters.extend(self.end.map(|end| ("effective_at[lt]", end.0.to_string())));
        for (name, values) in &self.values {
            parameters.extend(values.iter().map(|value| (*name, value.clone())));
        }
        parameters
    }

    /// Returns the query of the filters' address.
    fn pairs(&self) -> Vec<(&'static str, String)> {
        let mut pairs: Vec<(&'static str, String)> = Vec::new();
        pairs.extend(self.types.iter().map(|kind| ("event_types", kind.clone())));
        for (name, text) in [("from", &self.from), ("to", &self.to)] {
            if !text.is_empty() {
                pairs.push((name, text.clone()));
            }
        }
        for (name, values) in &self.values {
            pairs.extend(values.iter().map(|value| (*name, value.clone())));
        }
        if self.is_tenant_only {
            pairs.push(("tenant_only", "true".to_owned()));
        }
        pairs
    }

    /// Returns the address of the filters on a page.
    pub(crate) fn link(&self, page: Link) -> Link {
        let pairs = self.pairs();
        page.queries(pairs.iter().map(|(name, value)| (*name, value.as_str())))
    }

    /// Returns the fields of the form.
    pub(crate) fn fields(&self) -> Vec<Field> {
        let types = Self::all_types().map(|kind| {
            Choice::new(kind, kind).chosen(self.types.iter().any(|chosen| chosen == kind))
        });
        let types = Control::Picker {
            source: String::new(),
            choices: types.collect(),
            is_multiple: true,
            has_more: false,
        };
        let time = |name: &str, label: &str, value: &str| {
            Field::input(InputKind::DateTime, name, label).value(value)
        };
        let mut fields = vec![
            Field::new("event_types", "Events", types),
            time("from", "From", &self.from),
            time("to", "To", &self.to),
        ];
        for (name, label, example) in VALUES {
            let value = self.values.get(name).map(|values| values.join(", "));
            let field = Field::input(InputKind::Text, name, label).placeholder(example);
            fields.push(field.value(value.unwrap_or_default()));
        }
        let is_checked = self.is_tenant_only;
        fields.push(Field::new(
            "tenant_only",
            "Only the tenant above the organization",
            Control::Checkbox { is_checked },
        ));
        fields
    }
}
