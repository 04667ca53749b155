//! Texts with a NUL character, which no database of ours can keep.

use base::Error;
use serde_json::Value;

/// 400: no text in either database has a NUL character, so nothing is called so and nothing can be.
pub(super) fn holds_nul(noun: &str, path: &str) -> Error {
    Error::invalid(
        path,
        format!("Invalid {noun} '{path}': must not contain a NUL character."),
    )
}

/// Where in a JSON text there is a string with a NUL character, which JSON can only write in one way.
pub(super) fn nul_in(json: &[u8]) -> Option<String> {
    const ESCAPED: &[u8] = br"\u0000";
    if !json.windows(ESCAPED.len()).any(|window| window == ESCAPED) {
        return None;
    }
    let value = serde_json::from_slice(json).ok()?;
    path_to_nul(&value, String::new())
}

fn path_to_nul(value: &Value, path: String) -> Option<String> {
    match value {
        Value::String(text) => text.contains('\0').then_some(path),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(index, item)| path_to_nul(item, format!("{path}[{index}]"))),
        Value::Object(fields) => fields.iter().find_map(|(name, field)| {
            let dot = if path.is_empty() { "" } else { "." };
            path_to_nul(field, format!("{path}{dot}{name}"))
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nul_character_is_found_where_it_is() {
        let found = |text: &str| nul_in(text.as_bytes());
        let nested = r#"{"a":[{},{"b":"x\u0000y"}],"c":"d"}"#;
        assert_eq!(found(nested).as_deref(), Some("a[1].b"));
        assert_eq!(found(r#"{"a":"\\u0000"}"#), None, "a backslash and a word");
        assert_eq!(found(r#"{"a":"b"}"#), None);
    }
}
