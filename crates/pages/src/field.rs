//! Fields of forms: a label, a control, a sentence of help, and the message of an error.

use askama::Template;
use askama::filters::HtmlSafe;

/// The kind of a text field, as HTML names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputKind {
    /// Any text on one line.
    Text,
    /// An address for mail.
    Email,
    /// A password, which is not shown.
    Password,
    /// A number.
    Number,
    /// A date and time of day.
    DateTime,
    /// A date.
    Date,
    /// Words to search for.
    Search,
}

impl InputKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Email => "email",
            Self::Password => "password",
            Self::Number => "number",
            Self::DateTime => "datetime-local",
            Self::Date => "date",
            Self::Search => "search",
        }
    }
}

/// An option of a choice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Value that the form sends.
    pub value: String,
    /// Text that people read.
    pub label: String,
    /// Second text, in a quieter colour.
    pub detail: String,
    /// True if the option is chosen.
    pub is_chosen: bool,
}

impl Choice {
    /// Creates an option that is not chosen.
    #[must_use]
    pub fn new(value: impl Into<String>, label: impl Into<String>) -> Self {
        Self {
            value: value.into(),
            label: label.into(),
            ..Self::default()
        }
    }

    /// Sets the second text.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// Marks the option as chosen if `is_chosen`.
    #[must_use]
    pub fn chosen(mut self, is_chosen: bool) -> Self {
        self.is_chosen = is_chosen;
        self
    }

    /// True if an option without a value sends the same: browsers send the text then, with single spaces between words.
    fn is_its_text(&self) -> bool {
        self.detail.is_empty()
            && self.value == self.label
            && self.value.split(' ').all(|word| !word.is_empty())
            && !self.value.contains(['\t', '\n', '\r', '\u{c}'])
    }
}

/// The control of a field.
#[derive(Clone, Debug)]
pub enum Control {
    /// A line of text.
    Input {
        /// Kind of the text.
        kind: InputKind,
        /// Value that is shown.
        value: String,
        /// Hint in the empty field.
        placeholder: String,
        /// Least number, or empty.
        min: String,
        /// Largest number, or empty.
        max: String,
        /// Longest text, or empty.
        max_length: String,
        /// Value of the attribute `autocomplete`.
        autocomplete: &'static str,
    },
    /// Several lines of text.
    TextArea {
        /// Value that is shown.
        value: String,
        /// Hint in the empty field.
        placeholder: String,
        /// Number of lines.
        rows: u8,
    },
    /// Choice of an option, in a list that opens.
    Select(Vec<Choice>),
    /// Choice of an option, all shown.
    Radio(Vec<Choice>),
    /// Any number of some options, all shown.
    Checkboxes(Vec<Choice>),
    /// Yes or no.
    Checkbox {
        /// True if the answer is yes.
        is_checked: bool,
    },
    /// Options that are searched on the server.
    Picker {
        /// Address that answers a search, to which the script appends `&q=`; without the script, the first options show.
        source: String,
        /// First options, and all chosen ones.
        choices: Vec<Choice>,
        /// True if several can be chosen.
        is_multiple: bool,
        /// True if there are more options than `choices`; then an id can be entered, too.
        has_more: bool,
    },
}

/// A field of a form.
#[derive(Clone, Debug, Template)]
#[template(path = "field.html")]
pub struct Field {
    name: String,
    label: String,
    control: Control,
    help: String,
    error: String,
    is_required: bool,
    is_disabled: bool,
    is_focused: bool,
    marks_optional: bool,
}

impl HtmlSafe for Field {}

/// Attributes that every control of a field has.
#[derive(Template)]
#[template(
    source = "{% if !described_by.is_empty() %} aria-describedby=\"{{ described_by }}\"{% endif %}\
{% if is_invalid %} aria-invalid=\"true\"{% endif %}{% if is_required %} required{% endif %}\
{% if is_disabled %} disabled{% endif %}{% if is_focused %} autofocus{% endif %}",
    ext = "html"
)]
struct FieldAttributes {
    described_by: String,
    is_invalid: bool,
    is_required: bool,
    is_disabled: bool,
    is_focused: bool,
}

impl HtmlSafe for FieldAttributes {}

impl Field {
    /// Creates a field with this control.
    #[must_use]
    pub fn new(name: impl Into<String>, label: impl Into<String>, control: Control) -> Self {
        Self {
            name: name.into(),
            label: label.into(),
            control,
            help: String::new(),
            error: String::new(),
            is_required: false,
            is_disabled: false,
            is_focused: false,
            marks_optional: false,
        }
    }

    /// Creates a field for a line of text.
    #[must_use]
    pub fn input(kind: InputKind, name: impl Into<String>, label: impl Into<String>) -> Self {
        let control = Control::Input {
            kind,
            value: String::new(),
            placeholder: String::new(),
            min: String::new(),
            max: String::new(),
            max_length: String::new(),
            autocomplete: "off",
        };
        Self::new(name, label, control)
    }

    /// Sets the text that the control shows. Has no effect on choices.
    #[must_use]
    pub fn value(mut self, text: impl Into<String>) -> Self {
        match &mut self.control {
            Control::Input { value, .. } | Control::TextArea { value, .. } => *value = text.into(),
            _ => {}
        }
        self
    }

    /// Sets the hint in the empty control. Has no effect on choices.
    #[must_use]
    pub fn placeholder(mut self, text: impl Into<String>) -> Self {
        match &mut self.control {
            Control::Input { placeholder, .. } | Control::TextArea { placeholder, .. } => {
                *placeholder = text.into();
            }
            _ => {}
        }
        self
    }

    /// Sets the attribute `autocomplete` of a line of text, such as `username` or `new-password`.
    #[must_use]
    pub fn autocomplete(mut self, word: &'static str) -> Self {
        if let Control::Input { autocomplete, .. } = &mut self.control {
            *autocomplete = word;
        }
        self
    }

    /// Sets the sentence of help below the control.
    #[must_use]
    pub fn help(mut self, sentence: impl Into<String>) -> Self {
        self.help = sentence.into();
        self
    }

    /// Sets the message of an error; an empty message is none.
    #[must_use]
    pub fn error(mut self, message: impl Into<String>) -> Self {
        self.error = message.into();
        self
    }

    /// Requires a value.
    #[must_use]
    pub fn required(mut self) -> Self {
        self.is_required = true;
        self
    }

    /// Says beside the label that the field may stay empty.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.marks_optional = true;
        self
    }

    /// Disables the control if `is_disabled`.
    #[must_use]
    pub fn disabled(mut self, is_disabled: bool) -> Self {
        self.is_disabled = is_disabled;
        self
    }

    /// Puts the focus on the control when the page opens.
    #[must_use]
    pub fn focused(mut self) -> Self {
        self.is_focused = true;
        self
    }

    /// Returns the name under which the form sends the value.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the id of the control: the name with `-` for characters that are awkward in selectors.
    #[must_use]
    pub fn id(&self) -> String {
        let plain = |character: char| {
            if character.is_ascii_alphanumeric() || character == '_' {
                character
            } else {
                '-'
            }
        };
        format!("field-{}", self.name.chars().map(plain).collect::<String>())
    }

    /// Returns the ids of help and error for `aria-describedby`; empty if there are none.
    fn described_by(&self) -> String {
        let id = self.id();
        let help = (!self.help.is_empty()).then(|| format!("{id}-help"));
        let error = (!self.error.is_empty()).then(|| format!("{id}-error"));
        let ids: Vec<String> = error.into_iter().chain(help).collect();
        ids.join(" ")
    }

    fn attributes(&self) -> FieldAttributes {
        FieldAttributes {
            described_by: self.described_by(),
            is_invalid: !self.error.is_empty(),
            is_required: self.is_required,
            is_disabled: self.is_disabled,
            is_focused: self.is_focused,
        }
    }

    /// True if the control is a group of several inputs, which a `fieldset` names.
    fn is_group(&self) -> bool {
        matches!(self.control, Control::Radio(_) | Control::Checkboxes(_))
    }

    fn is_checkbox(&self) -> bool {
        matches!(self.control, Control::Checkbox { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_names_its_help_and_its_error() {
        let field = Field::input(InputKind::Email, "projects[0].mail", "E-mail")
            .value("a\"b")
            .help("Any address.")
            .error("No address.")
            .required();
        let html = field.to_string();
        for part in [
            "for=\"field-projects-0--mail\"",
            "id=\"field-projects-0--mail\"",
            "name=\"projects[0].mail\"",
            "aria-describedby=\"field-projects-0--mail-error field-projects-0--mail-help\"",
            "aria-invalid=\"true\"",
            "value=\"a&#34;b\"",
            " required",
        ] {
            assert!(html.contains(part), "{part}: {html}");
        }
    }

    #[test]
    fn markup_in_every_text_is_escaped() {
        const EVIL: &str = "\"><script>alert(1)</script>";
        let choices = || vec![Choice::new(EVIL, EVIL).detail(EVIL).chosen(true)];
        let controls = [
            Control::TextArea {
                value: EVIL.to_owned(),
                placeholder: EVIL.to_owned(),
                rows: 3,
            },
            Control::Select(choices()),
            Control::Radio(choices()),
            Control::Checkboxes(choices()),
            Control::Checkbox { is_checked: true },
            Control::Picker {
                source: EVIL.to_owned(),
                choices: choices(),
                is_multiple: true,
                has_more: true,
            },
        ];
        for control in controls {
            let field = Field::new(EVIL, EVIL, control).help(EVIL).error(EVIL);
            let html = field.to_string();
            assert!(!html.contains("<script"), "{html}");
            assert!(!html.contains("\"\">"), "{html}");
        }
    }
}
