//! Percent-decoding of path segments and query values.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// Decodes a percent-encoded text; returns `None` if an escape is malformed or the result is not UTF-8.
pub(crate) fn decode(text: &str) -> Option<Cow<'_, str>> {
    let is_escape = |rest: &str| {
        let digits = rest.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    if !text.split('%').skip(1).all(is_escape) {
        return None;
    }
    percent_decode_str(text).decode_utf8().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_a_path_is_decoded() {
        for (text, name) in [
            ("gpt-5.5", Some("gpt-5.5")),
            ("meta%2FLlama%203", Some("meta/Llama 3")),
            ("%c3%bc", Some("ü")),
            ("%", None),
            ("%4", None),
            ("%zz", None),
            ("%ff", None),
        ] {
            assert_eq!(decode(text).as_deref(), name, "{text}");
        }
    }
}
