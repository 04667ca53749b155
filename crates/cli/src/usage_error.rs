//! The messages of wrong arguments, made from clap's errors.

use std::error::Error as _;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::api::Api;
use crate::failure::Failure;

/// Returns the failure that tells the user about `error`.
pub fn usage_error(program: &str, error: &clap::Error) -> Failure {
    let flag = || text(error, ContextKind::InvalidArg).unwrap_or_default();
    // clap names a flag together with its value: `--limit <int>`, `--batch[=<bool>]`.
    let flag_name = || {
        flag()
            .split([' ', '['])
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    let message = match error.kind() {
        ErrorKind::InvalidSubcommand => unknown_command(program, error),
        ErrorKind::UnknownArgument => {
            let like = text(error, ContextKind::SuggestedArg);
            let like = like.map(|like| like.split(' ').next().unwrap_or_default().to_owned());
            format!(
                "There is no flag '{}'.{}",
                flag(),
                question(like.as_deref())
            )
        }
        ErrorKind::ValueValidation => {
            let reason = error.source().map(ToString::to_string);
            format!("{} {}", flag_name(), reason.unwrap_or_default())
        }
        ErrorKind::InvalidValue
            if text(error, ContextKind::InvalidValue).is_none_or(|value| value.is_empty()) =>
        {
            format!("{} needs a value", flag_name())
        }
        _ => {
            let text = error.to_string();
            text.strip_prefix("error: ")
                .unwrap_or(&text)
                .trim_end()
                .to_owned()
        }
    };
    Failure::Usage(message)
}

/// Returns a question that names `like`, to follow a message; nothing without it.
pub fn question(like: Option<&str>) -> String {
    like.map_or_else(String::new, |like| format!("\nDid you mean '{like}'?"))
}

fn unknown_command(program: &str, error: &clap::Error) -> String {
    let word = text(error, ContextKind::InvalidSubcommand).unwrap_or_default();
    let like = text(error, ContextKind::SuggestedSubcommand);
    // The usage line begins with the words up to the wrong one.
    let usage = text(error, ContextKind::Usage).unwrap_or_default();
    let resources = Api::get().resources();
    let resource = usage
        .split_whitespace()
        .find_map(|word| resources.get_key_value(word));
    let Some((resource, operations)) = resource else {
        let like = like.map(|like| format!("{program} {like}"));
        return format!("There is no command '{word}'.{}", question(like.as_deref()));
    };
    let verbs: Vec<_> = operations
        .iter()
        .map(|operation| operation.verb.as_str())
        .collect();
    let like = like.map(|like| format!("{program} {resource} {like}"));
    format!(
        "'{resource}' has no command '{word}': there is {}.{}",
        verbs.join(", "),
        question(like.as_deref())
    )
}

/// Returns the text of one part of an error; of several suggestions the best one.
fn text(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        // clap sorts suggestions by how similar they are, the best last.
        ContextValue::Strings(texts) => texts.last().cloned(),
        ContextValue::StyledStr(text) => Some(text.to_string()),
        _ => None,
    }
}
