//! Refusal of U+0000 in requests, since PostgreSQL cannot store it.

use base::{Error, Result};
use serde_json::Value as Json;

/// Returns true if a percent-encoded value of a query string contains U+0000.
pub(super) fn is_in(value: &str) -> bool {
    value.contains("%00")
}

/// Refuses a body with U+0000 in a string.
///
/// # Errors
/// 400 naming the field.
pub(super) fn refuse_in_body(bytes: &[u8]) -> Result<()> {
    const ESCAPED: &[u8] = br"\u0000";
    let may_be = bytes.windows(ESCAPED.len()).any(|part| part == ESCAPED);
    if !may_be {
        return Ok(());
    }
    // A body that is not JSON is refused by its parser.
    let body: Json = serde_json::from_slice(bytes).unwrap_or_default();
    path_in(&body).map_or(Ok(()), |path| {
        Err(refusal("field", path.trim_start_matches('.')))
    })
}

pub(super) fn refusal(noun: &str, param: &str) -> Error {
    let message = format!("Invalid {noun} '{param}': must not contain a NUL character.");
    Error::invalid(param, message)
}

/// Returns the path of the first string with U+0000.
fn path_in(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => text.contains('\0').then(String::new),
        Json::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(index, item)| Some(format!("[{index}]{}", path_in(item)?))),
        Json::Object(map) => map
            .iter()
            .find_map(|(name, field)| Some(format!(".{name}{}", path_in(field)?))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusal_names_the_field_with_the_nul_character() {
        for (body, param) in [
            (r#"{"name":"\u0000"}"#, Some("name")),
            (r#"{"a":[{"b":"x"},{"b":"x\u0000"}]}"#, Some("a[1].b")),
            (r#"{"name":"\\u0000"}"#, None),
            (r#"{"name":"\u0000"#, None),
            (r#"{"name":"x"}"#, None),
        ] {
            let refused = refuse_in_body(body.as_bytes()).err();
            let found = refused.as_ref().and_then(|error| error.param.as_deref());
            assert_eq!(found, param, "{body}");
        }
    }
}
