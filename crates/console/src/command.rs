//! The command of the command line that does the same as a form.

use admin::operation::Operation;
use serde_json::Value as Json;

use crate::context::Context;
use crate::registry::KnownOperation;

/// Returns the command that runs an operation with a body: required fields without a value are words in capitals.
pub(crate) fn command_line(context: &Context<'_>, known: &KnownOperation, body: &Json) -> String {
    let mut words = vec![
        "orgplane".to_owned(),
        format!("admin:organization:{}", known.operation.command),
    ];
    for name in known.operation.path_parameters() {
        let value = context.parameter(name);
        let value = if value.is_empty() {
            name.to_uppercase()
        } else {
            quoted(value)
        };
        words.push(format!("{} {value}", flag(name)));
    }
    for field in &known.body {
        match &body[&field.name] {
            Json::Null if field.is_required => {
                words.push(format!(
                    "{} {}",
                    flag(&field.name),
                    field.name.to_uppercase()
                ));
            }
            Json::Null => {}
            Json::Array(items) => {
                let flag = flag(field.name.strip_suffix('s').unwrap_or(&field.name));
                words.extend(items.iter().map(|item| format!("{flag} {}", plain(item))));
            }
            value => words.push(format!("{} {}", flag(&field.name), plain(value))),
        }
    }
    words.join(" \\\n  ").replacen(" \\\n  ", " ", 1)
}

/// Returns the command that runs an operation without a body.
pub(crate) fn command_of(context: &Context<'_>, operation: &Operation) -> String {
    let parameters = operation.path_parameters();
    let flag = |name| format!(" \\\n  {} {}", flag(name), quoted(context.parameter(name)));
    let flags: String = parameters.map(flag).collect();
    format!("orgplane admin:organization:{}{flags}", operation.command)
}

fn flag(name: &str) -> String {
    format!("--{}", name.replace('_', "-"))
}

fn plain(value: &Json) -> String {
    match value {
        Json::String(text) => quoted(text),
        other => quoted(&other.to_string()),
    }
}

/// Quotes a word for a shell, if it has characters with a meaning there.
pub(crate) fn quoted(word: &str) -> String {
    let is_plain =
        |character: char| character.is_ascii_alphanumeric() || "-_.:/@,=+".contains(character);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_a_shell() {
        for (word, expected) in [
            ("proj_1", "proj_1"),
            ("a b", "'a b'"),
            ("it's", "'it'\\''s'"),
            ("", "''"),
            ("$(rm -rf /)", "'$(rm -rf /)'"),
        ] {
            assert_eq!(quoted(word), expected);
        }
    }
}
