//! The byte order mark (U+FEFF) that programs on Windows write at the beginning of a text. RFC 8259 lets a reader of JSON pass
//! over the mark; readers here do, and pass on what follows it.

/// The byte order mark in UTF-8.
pub const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// The byte order marks of UTF-16, little-endian and big-endian.
const UTF_16_MARKS: [&[u8]; 2] = [b"\xff\xfe", b"\xfe\xff"];

/// Returns the bytes of a text after its byte order mark, if there is one.
#[must_use]
pub fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes)
}

/// Returns a text after its byte order mark, if there is one.
#[must_use]
pub fn text_without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// Returns the text in a file of UTF-8, after its byte order mark.
///
/// # Errors
/// The encoding that the file must have; and the one that it seems to have, if it begins with the mark of UTF-16.
pub fn utf_8(bytes: Vec<u8>) -> Result<String, &'static str> {
    if UTF_16_MARKS.iter().any(|mark| bytes.starts_with(mark)) {
        return Err("it is in UTF-16: it must be saved as UTF-8");
    }
    let text = String::from_utf8(bytes).map_err(|_| "it is not text in UTF-8")?;
    Ok(match text.strip_prefix('\u{feff}') {
        Some(text) => text.to_owned(),
        None => text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ndjson_bom_one_mark_at_the_beginning_is_passed_over() {
        for (text, expected) in [
            ("\u{feff}a", "a"),
            ("a\u{feff}", "a\u{feff}"),
            ("\u{feff}\u{feff}a", "\u{feff}a"),
            ("\u{feff}", ""),
            ("", ""),
        ] {
            assert_eq!(text_without_mark(text), expected);
            assert_eq!(without_mark(text.as_bytes()), expected.as_bytes());
            assert_eq!(utf_8(text.as_bytes().to_vec()).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn ndjson_bom_utf_16_is_named() {
        for bytes in [&b"\xff\xfea\0"[..], b"\xfe\xff\0a"] {
            let reason = utf_8(bytes.to_vec()).expect_err("UTF-16");
            assert!(reason.contains("UTF-16"), "{reason}");
        }
        assert_eq!(utf_8(b"\xff".to_vec()), Err("it is not text in UTF-8"));
    }
}
