//! The rule about audit event types: outside of `base` they are values of its enumeration, never text.

use std::collections::BTreeSet;

use proc_macro2::TokenTree;
use serde_json::Value;

use super::modules::is_test_path;
use super::{File, Finding, tokens};

const DOCUMENT: &str = "openapi.json";
/// A wire name that is in the list of event types of any document.
const KNOWN_TYPE: &str = "project.created";

/// No source outside of `base` has the wire name of an audit event type as text. The names are those of `openapi.json`.
pub fn literals(files: &[File]) -> Vec<Finding> {
    let document = files.iter().find(|file| file.path == DOCUMENT);
    let document: Option<Value> = document.and_then(|it| serde_json::from_str(&it.text).ok());
    let mut types = BTreeSet::new();
    collect(&document.unwrap_or_default(), &mut types);
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| is_checked(&file.path)) {
        let unit_tests = super::sources::unit_tests(file);
        tokens::each_run(tokens::of(file), &mut |run| {
            for (index, token) in run.iter().enumerate() {
                let Some(text) = tokens::string(token).filter(|text| types.contains(text)) else {
                    continue;
                };
                let line = tokens::line(token.span());
                if !is_definition(&run[..index], &text)
                    && !unit_tests.iter().any(|span| span.contains(&line))
                {
                    let message = format!("`{text}`: an event type must be a `base::EventType`");
                    findings.push(file.at(line, &text, &message));
                }
            }
        });
    }
    findings
}

/// True if the tokens before the literal `text` define it as a word of the wire format, not of an event: the name of a field
/// (`rename = "…"`), or a unit type that is named after it, as `literals!` declares the `object` members
/// (`GroupDeleted = "group.deleted"`).
fn is_definition(before: &[TokenTree], text: &str) -> bool {
    match before {
        [.., TokenTree::Ident(name), equals] if tokens::is_punct(Some(equals), '=') => {
            name == "rename" || name == &type_name(text)
        }
        _ => false,
    }
}

/// Returns a wire name in the spelling of types: `group.deleted` as `GroupDeleted`.
fn type_name(text: &str) -> String {
    let words = text.split(['.', '_']);
    let capitalized = words.map(|word| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_uppercase() + rest
    });
    capitalized.collect()
}

fn is_checked(path: &str) -> bool {
    let is_test = is_test_path(path) || path.ends_with("/tests.rs");
    path.starts_with("crates/") && !path.starts_with("crates/base/") && !is_test
}

/// Adds the values of every enumeration that has [`KNOWN_TYPE`].
fn collect(value: &Value, types: &mut BTreeSet<String>) {
    match value {
        Value::Array(values) => {
            if values.iter().any(|value| value == KNOWN_TYPE) {
                let names = values.iter().filter_map(Value::as_str);
                types.extend(names.map(str::to_owned));
            }
            values.iter().for_each(|value| collect(value, types));
        }
        Value::Object(members) => members.values().for_each(|value| collect(value, types)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::places;
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        let document = (
            DOCUMENT,
            r#"{"a": [{"enum": ["user.added", "project.created"]}]}"#,
        );
        places(literals, &[document, (path, text)])
    }

    #[test]
    fn event_types_as_text_are_found_outside_of_base() {
        let text = "fn f(t: &str) -> bool { matches!(t, \"user.added\" | \"users.added\") }";
        assert_eq!(
            found("crates/a/src/b.rs", text),
            ["crates/a/src/b.rs: user.added"]
        );
        assert!(found("crates/base/src/b.rs", text).is_empty());
    }

    #[test]
    fn event_types_as_text_pass_in_tests_and_definitions_of_other_words() {
        let text = "fn f() { \"user.added\" }";
        assert!(found("crates/a/tests/it/b.rs", text).is_empty());
        assert!(
            found(
                "crates/a/src/b.rs",
                &format!("#[cfg(test)] mod tests {{ {text} }}")
            )
            .is_empty()
        );
        let field = "struct E { #[serde(rename = \"user.added\")] user_added: u8 }";
        assert!(found("crates/a/src/b.rs", field).is_empty());
        let object = "literals! { UserAdded = \"user.added\"; }";
        assert!(found("crates/a/src/b.rs", object).is_empty());
        let text = "const ADDED: &str = \"user.added\";";
        assert_eq!(found("crates/a/src/b.rs", text).len(), 1);
    }
}
