//! The byte order mark (U+FEFF) that programs on Windows write at the beginning of a text. RFC 8259 allows parsers of JSON
//! to ignore the mark, and all parsers here do.

/// The byte order mark in UTF-8.
pub const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// Byte order marks of UTF-16, little-endian and big-endian.
const UTF_16_MARKS: [&[u8]; 2] = [b"\xff\xfe", b"\xfe\xff"];

/// Strips a leading byte order mark.
#[must_use]
pub fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes)
}

/// Strips a leading byte order mark.
#[must_use]
pub fn text_without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// Decodes the content of a UTF-8 file and strips a leading byte order mark.
///
/// # Errors
/// A message that names the required encoding, and UTF-16 if the file begins with its mark.
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
    fn one_mark_at_the_beginning_is_stripped() {
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
    fn utf_16_is_named_in_the_error() {
        for bytes in [&b"\xff\xfea\0"[..], b"\xfe\xff\0a"] {
            let reason = utf_8(bytes.to_vec()).expect_err("UTF-16");
            assert!(reason.contains("UTF-16"), "{reason}");
        }
        assert_eq!(utf_8(b"\xff".to_vec()), Err("it is not text in UTF-8"));
    }
}
