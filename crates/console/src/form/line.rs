//! Controls for one line of text.

use pages::{Control, InputKind};

use super::FormControl;

/// Returns a control for one line.
pub(super) fn line(control: &FormControl, value: &str) -> Control {
    let text = |number: &Option<i64>| number.map(|number| number.to_string()).unwrap_or_default();
    let (kind, min, max, max_length) = match control {
        FormControl::Email => (
            InputKind::Email,
            String::new(),
            String::new(),
            String::new(),
        ),
        FormControl::Integer(min, max) => (InputKind::Number, text(min), text(max), String::new()),
        FormControl::Line(Some(length)) => (
            InputKind::Text,
            String::new(),
            String::new(),
            length.to_string(),
        ),
        _ => (InputKind::Text, String::new(), String::new(), String::new()),
    };
    Control::Input {
        kind,
        value: value.to_owned(),
        placeholder: if *control == FormControl::Dollars {
            "100.00".to_owned()
        } else {
            String::new()
        },
        min,
        max,
        max_length,
        autocomplete: "off",
    }
}
