//! Forms as HTML.

use std::fmt;

use askama::Template;
use askama::filters::HtmlSafe;
use pages::{Choice, Control, Field, FormData};

use super::encode::row_name;
use super::line::line;
use super::permissions::PermissionsField;
use super::{Form, FormControl, FormField, MAX_ROWS_COUNT};
use crate::client::Refusal;
use crate::context::Context;
use crate::picker::{self, PickerKind, PickerOptions, marked};

/// Name of the button that asks for more rows.
pub(crate) const ROWS_BUTTON: &str = "_rows";
/// Beginning of the message about a field without a value, which names the field as the API does.
const MISSING: &str = "Missing required";
/// Rows that a list has beside the filled ones.
const SPARE_ROWS_COUNT: usize = 2;

/// The parts of a form.
pub(crate) struct FormParts {
    /// Parts that show at once.
    pub(crate) main: Vec<FormPart>,
    /// Parts among further settings.
    pub(crate) more: Vec<FormPart>,
    /// True if a field among further settings has an error.
    pub(crate) is_more_open: bool,
}

/// A part of a form.
pub(crate) enum FormPart {
    /// A field.
    Field(Field),
    /// A field without a control.
    Hidden {
        /// Name.
        name: String,
        /// Value.
        value: String,
    },
    /// Fields of an object, or of rows.
    Group(FormGroup),
    /// Permissions.
    Permissions(PermissionsField),
}

/// Fields with a heading.
#[derive(Template)]
#[template(path = "form_group.html")]
pub(crate) struct FormGroup {
    label: String,
    help: String,
    error: String,
    rows: Vec<Vec<FormPart>>,
    /// Name of the list, whose rows can be added; empty for an object.
    list: String,
    row_count: usize,
}

impl fmt::Display for FormPart {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(field) => field.fmt(formatter),
            Self::Hidden { name, value } => HiddenInput { name, value }.fmt(formatter),
            Self::Group(group) => group.fmt(formatter),
            Self::Permissions(field) => field.fmt(formatter),
        }
    }
}

impl HtmlSafe for FormPart {}

#[derive(Template)]
#[template(
    source = "<input type=\"hidden\" name=\"{{ name }}\" value=\"{{ value }}\">",
    ext = "html"
)]
struct HiddenInput<'a> {
    name: &'a str,
    value: &'a str,
}

/// A form with its values, options and errors.
struct Renderer<'a> {
    values: &'a FormData,
    options: Vec<(PickerKind, PickerOptions, String)>,
    refusal: Option<&'a Refusal>,
    is_in_project: bool,
    is_update: bool,
}

/// Renders a form with values. A refusal marks the field that it names.
pub(crate) async fn render(
    context: &Context<'_>,
    form: &Form,
    values: &FormData,
    refusal: Option<&Refusal>,
) -> FormParts {
    let mut kinds = Vec::new();
    collect_kinds(&form.fields, &mut kinds);
    let mut options = Vec::new();
    for kind in kinds {
        let chosen = chosen_values(form, values, kind);
        let found = picker::options(context, kind, &chosen).await;
        options.push((kind, found, kind.address(context)));
    }
    let renderer = Renderer {
        values,
        options,
        refusal,
        is_in_project: context.project.is_some() || form.is_own_key,
        is_update: form.is_update,
    };
    let part = |field: &FormField| renderer.part(field, &field.name);
    let is_main = |field: &&FormField| !field.is_more;
    let is_more = |field: &&FormField| field.is_more;
    FormParts {
        main: form.fields.iter().filter(is_main).map(part).collect(),
        more: form.fields.iter().filter(is_more).map(part).collect(),
        is_more_open: form
            .fields
            .iter()
            .filter(is_more)
            .any(|field| !renderer.error(&field.name).is_empty()),
    }
}

fn collect_kinds(fields: &[FormField], kinds: &mut Vec<PickerKind>) {
    for field in fields {
        if let FormControl::Pick(kind) | FormControl::PickMany(kind) = &field.control
            && !kinds.contains(kind)
        {
            kinds.push(*kind);
        }
        collect_kinds(&field.children, kinds);
    }
}

/// Returns the values of all fields of a form that pick things of a kind.
fn chosen_values<'a>(form: &Form, values: &'a FormData, kind: PickerKind) -> Vec<&'a str> {
    let mut chosen = Vec::new();
    for field in &form.fields {
        let picks = |field: &FormField| matches!(&field.control, FormControl::Pick(own) | FormControl::PickMany(own) if *own == kind);
        if picks(field) {
            chosen.extend(values.all(&field.name));
        }
        for child in field.children.iter().filter(|child| picks(child)) {
            chosen.extend(values.all(&child.name));
            let of_rows = (0..MAX_ROWS_COUNT).flat_map(|index| {
                values
                    .all(&row_name(&field.name, index, &child.key))
                    .collect::<Vec<_>>()
            });
            chosen.extend(of_rows);
        }
    }
    chosen.retain(|value| !value.is_empty());
    chosen
}

impl Renderer<'_> {
    fn part(&self, field: &FormField, name: &str) -> FormPart {
        match &field.control {
            FormControl::Hidden(value) => FormPart::Hidden {
                name: name.to_owned(),
                value: value.clone(),
            },
            FormControl::Group => self.group(field),
            FormControl::Rows => self.rows(field),
            FormControl::Permissions => {
                let error = self.error(name);
                let texts = (
                    name,
                    field.label.as_str(),
                    field.help.as_str(),
                    error.as_str(),
                );
                let permissions = PermissionsField::new(texts, self.values, self.is_in_project);
                FormPart::Permissions(permissions)
            }
            _ => FormPart::Field(self.field(field, name)),
        }
    }

    /// Returns the fields of an object; the checkbox alone if the object has only one.
    fn group(&self, field: &FormField) -> FormPart {
        if let [only] = field.children.as_slice()
            && only.control == FormControl::Checkbox
        {
            let control = self.control(only, &only.name);
            return FormPart::Field(
                Field::new(&only.name, &field.label, control).help(&field.help),
            );
        }
        let parts = field
            .children
            .iter()
            .map(|child| self.part(child, &child.name));
        FormPart::Group(FormGroup {
            label: field.label.clone(),
            help: field.help.clone(),
            error: self.own_error(&field.name),
            rows: vec![parts.collect()],
            list: String::new(),
            row_count: 0,
        })
    }

    fn rows(&self, field: &FormField) -> FormPart {
        let is_filled = |index: &usize| {
            let mut names = field
                .children
                .iter()
                .map(|child| row_name(&field.name, *index, &child.key));
            names.any(|name| self.values.has(&name))
        };
        let filled = (0..MAX_ROWS_COUNT)
            .rev()
            .find(is_filled)
            .map_or(0, |last| last + 1);
        let asked = self.values.get(ROWS_BUTTON).and_then(|text| {
            let (list, count) = text.split_once(':')?;
            (list == field.name).then(|| count.parse::<usize>().ok())?
        });
        let spare = if filled == 0 {
            SPARE_ROWS_COUNT
        } else {
            filled
        };
        let count = asked
            .unwrap_or(0)
            .max(filled)
            .max(spare)
            .min(MAX_ROWS_COUNT);
        let row = |index: usize| {
            let child =
                |child: &FormField| self.part(child, &row_name(&field.name, index, &child.key));
            field.children.iter().map(child).collect()
        };
        FormPart::Group(FormGroup {
            label: field.label.clone(),
            help: field.help.clone(),
            error: self.own_error(&field.name),
            rows: (0..count).map(row).collect(),
            list: field.name.clone(),
            row_count: (count + SPARE_ROWS_COUNT).min(MAX_ROWS_COUNT),
        })
    }

    fn field(&self, field: &FormField, name: &str) -> Field {
        let control = self.control(field, name);
        let is_checkbox = field.control == FormControl::Checkbox;
        let made = Field::new(name, &field.label, control)
            .help(&field.help)
            .error(self.error(name));
        // A row is required only once it is filled in, which the operation checks.
        if field.is_required && !is_checkbox && !name.contains('[') && self.is_single(field) {
            made.required()
        } else if !field.is_required && !is_checkbox && !self.is_update && !has_choice(field, name)
        {
            made.optional()
        } else {
            made
        }
    }

    /// True if the control has one value that `required` can check.
    fn is_single(&self, field: &FormField) -> bool {
        !matches!(
            field.control,
            FormControl::Some(_) | FormControl::AllOr(_) | FormControl::PickMany(_)
        )
    }

    fn control(&self, field: &FormField, name: &str) -> Control {
        let value = self.values.get(name).unwrap_or_default();
        match &field.control {
            FormControl::Checkbox => Control::Checkbox {
                is_checked: self.values.has(name),
            },
            FormControl::Choice(words) => self.choice(field, words, value, name.contains('[')),
            FormControl::Span(presets) => self.span(presets, value),
            FormControl::Some(words) => Control::Checkboxes(self.checked(words, name)),
            FormControl::AllOr(words) => {
                let mut choices = vec![
                    Choice::new("all", "All")
                        .detail("also those that come later")
                        .chosen(self.values.all(name).any(|word| word == "all")),
                ];
                choices.extend(self.checked(words, name));
                Control::Checkboxes(choices)
            }
            FormControl::Pick(kind) => self.picker(*kind, name, false),
            FormControl::PickMany(kind) => self.picker(*kind, name, true),
            FormControl::Text | FormControl::Lines | FormControl::Json => Control::TextArea {
                value: value.to_owned(),
                placeholder: String::new(),
                rows: if field.control == FormControl::Lines {
                    4
                } else {
                    3
                },
            },
            other => line(other, value),
        }
    }

    /// Returns the control for one of some words: buttons with the meanings if there are few, and they are not in a row.
    fn choice(
        &self,
        field: &FormField,
        words: &[(String, String)],
        value: &str,
        is_in_row: bool,
    ) -> Control {
        let value = if is_in_row && value.is_empty() {
            &*field.default
        } else {
            value
        };
        let is_described = words.iter().any(|(_, meaning)| !meaning.is_empty());
        let mut choices: Vec<Choice> = words
            .iter()
            .map(|(word, meaning)| {
                Choice::new(word, super::humanized(word))
                    .detail(meaning)
                    .chosen(word == value)
            })
            .collect();
        if !is_in_row
            && is_described
            && words.len() <= 4
            && (field.is_required || !value.is_empty())
        {
            return Control::Radio(choices);
        }
        if value.is_empty() {
            let none = if field.is_required {
                "Choose…"
            } else {
                "Not set"
            };
            choices.insert(0, Choice::new("", none).chosen(true));
        }
        choices.iter_mut().for_each(|choice| choice.detail.clear());
        Control::Select(choices)
    }

    fn span(&self, presets: &[(&str, &str)], value: &str) -> Control {
        let preset = |(seconds, label): &(&str, &str)| {
            Choice::new(*seconds, *label).chosen(*seconds == value)
        };
        let mut choices: Vec<Choice> = presets.iter().map(preset).collect();
        let none = if self.is_update {
            "Leave unchanged"
        } else {
            "Never"
        };
        if presets.iter().all(|(seconds, _)| *seconds != "0") {
            choices.push(Choice::new("", none).chosen(value.is_empty()));
        }
        if !value.is_empty() && !choices.iter().any(|choice| choice.is_chosen) {
            choices.push(Choice::new(value, format!("{value} seconds")).chosen(true));
        }
        Control::Select(choices)
    }

    fn checked(&self, words: &[(String, String)], name: &str) -> Vec<Choice> {
        let choice = |(word, meaning): &(String, String)| {
            Choice::new(word, super::humanized(word))
                .detail(meaning)
                .chosen(self.values.all(name).any(|value| value == word))
        };
        words.iter().map(choice).collect()
    }

    fn picker(&self, kind: PickerKind, name: &str, is_multiple: bool) -> Control {
        let found = self.options.iter().find(|(own, _, _)| *own == kind);
        let (options, source) = match found {
            Some((_, options, source)) => (options.clone(), source.clone()),
            None => (PickerOptions::default(), String::new()),
        };
        Control::Picker {
            source,
            choices: marked(&options, self.values, name),
            is_multiple,
            has_more: options.has_more,
        }
    }

    /// Returns the message of the refusal if it is about the field or something in it.
    fn error(&self, name: &str) -> String {
        self.message(|param| {
            let rest = param.strip_prefix(name);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['[', '.']))
        })
    }

    /// Returns the message of the refusal if it is about the object or list itself.
    fn own_error(&self, name: &str) -> String {
        self.message(|param| param == name)
    }

    fn message(&self, is_meant: impl Fn(&str) -> bool) -> String {
        let refusal = self.refusal.filter(|refusal| {
            let param = refusal.param.as_deref();
            param.is_some_and(is_meant)
        });
        match refusal {
            Some(refusal) if refusal.message.starts_with(MISSING) => {
                "Enter or choose something here.".to_owned()
            }
            Some(refusal) => refusal.message.clone(),
            None => String::new(),
        }
    }
}

/// True if a field always has a choice, or is one of several in a row, so that "optional" would say nothing.
fn has_choice(field: &FormField, name: &str) -> bool {
    matches!(field.control, FormControl::Pick(_) | FormControl::Span(_)) || name.contains('[')
}

/// Returns true if a refusal names a field that the form shows.
pub(crate) fn names_field(form: &Form, refusal: &Refusal) -> bool {
    let Some(param) = &refusal.param else {
        return false;
    };
    let first = param.split(['[', '.']).next().unwrap_or_default();
    form.fields.iter().any(|field| field.key == first)
}
