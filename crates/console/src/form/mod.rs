//! Forms: made from the schema of an operation's body, so that each field of the body is a field of the form.

mod decode;
mod encode;
mod hints;
mod line;
mod permissions;
mod render;
mod setting_hints;

use crate::registry::KnownOperation;
use crate::schema::{FieldSchema, ValueKind};

pub(crate) use decode::body_of;
pub(crate) use encode::pairs_of;
pub(crate) use hints::VISITOR;
pub(crate) use render::{FormPart, ROWS_BUTTON, names_field, render};

use crate::picker::PickerKind;

/// The most rows of a list of objects.
pub(crate) const MAX_ROWS_COUNT: usize = 100;

/// A form.
pub(crate) struct Form {
    /// Fields, in order.
    pub(crate) fields: Vec<FormField>,
    /// True if the form changes something that exists, so that only changed fields are sent.
    pub(crate) is_update: bool,
    /// True if the form is about a key of a project, on a page that is not of that project.
    pub(crate) is_own_key: bool,
}

/// A field of a form.
pub(crate) struct FormField {
    /// Name in the form, such as `notification_channel.recipients`.
    pub(crate) name: String,
    /// Name in the object that the field is in.
    pub(crate) key: String,
    /// Text of the label.
    pub(crate) label: String,
    /// Sentence of help.
    pub(crate) help: String,
    /// Control.
    pub(crate) control: FormControl,
    /// Value of a new form.
    pub(crate) default: String,
    /// Pointer to the present value in the item.
    pub(crate) source: String,
    /// True if a value is required.
    pub(crate) is_required: bool,
    /// True if null clears the value.
    pub(crate) is_nullable: bool,
    /// True if the field is among further settings.
    pub(crate) is_more: bool,
    /// Fields of an object, or of each object of a list.
    pub(crate) children: Vec<FormField>,
}

/// The control of a field of a form.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum FormControl {
    /// A constant, which the form has hidden.
    Hidden(String),
    /// A line of text, of at most so many characters.
    Line(Option<u64>),
    /// An e-mail address.
    Email,
    /// Several lines of one text.
    Text,
    /// A list of texts, a line each.
    Lines,
    /// A whole number.
    Integer(Option<i64>, Option<i64>),
    /// An amount in US cents, entered in dollars.
    Dollars,
    /// A span of time in seconds, chosen from presets.
    Span(&'static [(&'static str, &'static str)]),
    /// Choice of a word, each with its meaning.
    Choice(Vec<(String, String)>),
    /// Either all, or some of some words.
    AllOr(Vec<(String, String)>),
    /// Any number of some words.
    Some(Vec<(String, String)>),
    /// Yes or no.
    Checkbox,
    /// An existing item, searched on the server.
    Pick(PickerKind),
    /// Several things that exist, searched on the server.
    PickMany(PickerKind),
    /// Permissions.
    Permissions,
    /// Fields of an object.
    Group,
    /// Rows of fields, one for each object of a list.
    Rows,
    /// Any other value, written as JSON.
    Json,
}

impl Form {
    /// Returns the form of an operation.
    pub(crate) fn of(known: &KnownOperation, is_update: bool) -> Self {
        let command = known.operation.command;
        let field = |schema: &FieldSchema| field(command, schema, "", "");
        let mut fields: Vec<FormField> = known.body.iter().map(field).collect();
        fields.sort_by_key(|field| hints::rank(&field.name));
        Self {
            fields,
            is_update,
            is_own_key: command.starts_with("me:api-keys"),
        }
    }
}

/// Returns the field of a schema. `within` is the name of the object in the form, `path` the one without places in lists.
fn field(command: &str, schema: &FieldSchema, within: &str, path: &str) -> FormField {
    let name = joined(within, &schema.name);
    let path = joined(path, &schema.name);
    let hint = hints::hint(command, &path);
    let control = hint.control.map_or_else(
        || control(&schema.kind, schema.is_required),
        FormControl::from,
    );
    let children = children(command, schema, &control, &name, &path);
    let help = hint
        .help
        .map_or_else(|| schema.description.clone(), str::to_owned);
    let label = if hint.label.is_empty() {
        humanized(&schema.name)
    } else {
        hint.label.to_owned()
    };
    FormField {
        key: schema.name.clone(),
        label,
        help,
        default: hint.default.to_owned(),
        source: if hint.source.is_empty() {
            format!("/{}", path.replace('.', "/"))
        } else {
            hint.source.to_owned()
        },
        is_required: schema.is_required,
        is_nullable: schema.is_nullable,
        is_more: hint.is_more,
        control,
        name,
        children,
    }
}

fn children(
    command: &str,
    schema: &FieldSchema,
    control: &FormControl,
    name: &str,
    path: &str,
) -> Vec<FormField> {
    let fields = match (&schema.kind, control) {
        (ValueKind::Object(fields), FormControl::Group) => fields,
        (ValueKind::List(item), FormControl::Rows) => match &**item {
            ValueKind::Object(fields) => fields,
            _ => return Vec::new(),
        },
        _ => return Vec::new(),
    };
    // The names in a row get the place of the row when it is rendered or decoded.
    let within = if *control == FormControl::Rows {
        ""
    } else {
        name
    };
    let child = |schema| field(command, schema, within, path);
    fields.iter().map(child).collect()
}

/// Returns the control that suits a kind of values.
fn control(kind: &ValueKind, is_required: bool) -> FormControl {
    let words = |words: &[crate::schema::Word]| {
        let pair = |word: &crate::schema::Word| (word.value.clone(), word.meaning.clone());
        words.iter().map(pair).collect::<Vec<_>>()
    };
    match kind {
        ValueKind::Choice(only) if only.len() == 1 && is_required => {
            FormControl::Hidden(only[0].value.clone())
        }
        ValueKind::Choice(choices) => FormControl::Choice(words(choices)),
        ValueKind::AllOr(choices) => FormControl::AllOr(words(choices)),
        ValueKind::Text { format, .. } if format == "email" => FormControl::Email,
        ValueKind::Text { format, .. } if !format.is_empty() => FormControl::Text,
        ValueKind::Text { max_length, .. } if max_length.is_some_and(|length| length > 500) => {
            FormControl::Text
        }
        ValueKind::Text { max_length, .. } => FormControl::Line(*max_length),
        ValueKind::Integer { min, max } => FormControl::Integer(*min, *max),
        ValueKind::Boolean => FormControl::Checkbox,
        ValueKind::Object(_) => FormControl::Group,
        ValueKind::List(item) => match &**item {
            ValueKind::Object(_) => FormControl::Rows,
            ValueKind::Choice(choices) => FormControl::Some(words(choices)),
            ValueKind::Text { .. } => FormControl::Lines,
            _ => FormControl::Json,
        },
        ValueKind::Any => FormControl::Json,
    }
}

fn joined(within: &str, name: &str) -> String {
    if within.is_empty() {
        name.to_owned()
    } else {
        format!("{within}.{name}")
    }
}

/// Returns the label of a field, as forms have it.
pub(crate) fn label_of(field: &str) -> String {
    match hints::hint("", field).label {
        "" => humanized(field),
        label => label.to_owned(),
    }
}

/// Returns the words of a name in the API: `max_tokens` is "Max tokens".
pub(crate) fn humanized(name: &str) -> String {
    let words = match name {
        "mcp" => "MCP".to_owned(),
        name => name.replace('_', " "),
    };
    let mut letters = words.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => words,
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::registry::Registry;

    #[test]
    fn each_field_of_every_body_is_a_field_of_the_form() {
        let registry = Registry::new();
        for known in registry.operations() {
            let form = Form::of(known, false);
            let mut names: Vec<&str> = form.fields.iter().map(|field| &*field.key).collect();
            let mut expected: Vec<&str> = known.body.iter().map(|field| &*field.name).collect();
            names.sort_unstable();
            expected.sort_unstable();
            assert_eq!(names, expected, "{}", known.operation.command);
        }
    }

    #[test]
    fn ids_are_picked_and_amounts_are_dollars() {
        let registry = Registry::new();
        let form = |method: &Method, path| {
            let known = registry.find(method, path).expect("an operation");
            Form::of(known, false)
        };
        let members = form(&Method::POST, "/organization/projects/{project_id}/users");
        let user = members.fields.iter().find(|field| field.name == "user_id");
        assert!(user.is_some_and(|user| user.control == FormControl::Pick(PickerKind::Users)));
        let alert = form(&Method::POST, "/organization/spend_alerts");
        let amount = alert
            .fields
            .iter()
            .find(|field| field.name == "threshold_amount");
        assert!(amount.is_some_and(|amount| amount.control == FormControl::Dollars));
        let channel = alert
            .fields
            .iter()
            .find(|field| field.name == "notification_channel");
        let inner: Vec<&str> = channel
            .map(|channel| channel.children.iter().map(|child| &*child.name).collect())
            .unwrap_or_default();
        assert!(
            inner.contains(&"notification_channel.recipients"),
            "{inner:?}"
        );
    }
}
