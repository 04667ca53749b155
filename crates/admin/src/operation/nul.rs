//! U+0000, the one character that PostgreSQL cannot keep: nothing is called that, so it is refused where it comes in.

use base::{Error, Result};
use serde_json::Value as Json;

/// Whether a value of a query string, as it came, has it.
pub(super) fn is_in(value: &str) -> bool {
    value.contains("%00")
}

/// Refuses a body that has it in a text.
///
/// # Errors
/// 400 naming the field.
pub(super) fn refuse_in_body(bytes: &[u8]) -> Result<()> {
    const ESCAPED: &[u8] = br"\u0000";
    let may_be = bytes.windows(ESCAPED.len()).any(|part| part == ESCAPED);
    if !may_be {
        return Ok(());
    }
    // What is no JSON is refused for that.
    let body: Json = serde_json::from_slice(bytes).unwrap_or_default();
    place(&body).map_or(Ok(()), |place| {
        Err(refusal("field", place.trim_start_matches('.')))
    })
}

pub(super) fn refusal(noun: &str, param: &str) -> Error {
    let message = format!("Invalid {noun} '{param}': must not contain a NUL character.");
    Error::invalid(param, message)
}

/// Where the first text with it is.
fn place(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => text.contains('\0').then(String::new),
        Json::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(index, item)| Some(format!("[{index}]{}", place(item)?))),
        Json::Object(map) => map
            .iter()
            .find_map(|(name, field)| Some(format!(".{name}{}", place(field)?))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_with_it_names_the_field() {
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
