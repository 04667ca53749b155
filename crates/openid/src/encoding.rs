//! Forms, queries, base64url and comparisons that take the same time for all inputs.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};

/// Characters that forms and queries escape: all but the unreserved ones of RFC 3986.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Encodes pairs as a form or a query.
pub(crate) fn form(pairs: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{name}={}", escaped(value)))
        .collect();
    pairs.join("&")
}

/// Escapes a value of a form or a query.
pub(crate) fn escaped(value: &str) -> String {
    utf8_percent_encode(value, ESCAPED).to_string()
}

/// Decodes the pairs of a form or a query; `None` if a text is not UTF-8.
pub(crate) fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let decoded = |text: &str| {
        let text = text.replace('+', " ");
        let decoded = percent_decode(text.as_bytes()).decode_utf8();
        decoded.ok().map(|text| text.into_owned())
    };
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Some((decoded(name)?, decoded(value)?))
    });
    pairs.collect()
}

/// Appends pairs to the query of an address.
pub(crate) fn with_query(address: &str, pairs: &[(&str, &str)]) -> String {
    let separator = match address.split_once('?') {
        None => "?",
        Some((_, "")) => "",
        Some((_, query)) if query.ends_with('&') => "",
        Some(_) => "&",
    };
    format!("{address}{separator}{}", form(pairs))
}

/// Encodes bytes as base64url without padding.
pub(crate) fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Decodes base64url without padding.
pub(crate) fn from_base64url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// True if both texts are equal; takes the same time wherever texts of one length differ.
pub(crate) fn is_same(one: &str, other: &str) -> bool {
    let pairs = one.bytes().zip(other.bytes());
    let difference = pairs.fold(0_u8, |sum, (one, other)| sum | (one ^ other));
    one.len() == other.len() && std::hint::black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_read_as_they_were_written() {
        let all = [("a", "x y&z=+%"), ("b", "ä/?"), ("c", "")];
        let text = form(&all);
        assert_eq!(text, "a=x%20y%26z%3D%2B%25&b=%C3%A4%2F%3F&c=");
        let read = pairs(&text).expect("a form");
        let read: Vec<_> = read.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_eq!(read, all);
        assert_eq!(pairs("a+b=c+d"), Some(vec![("a b".into(), "c d".into())]));
        assert_eq!(pairs("a=%ff"), None);
    }

    #[test]
    fn queries_are_appended_to_queries() {
        let pair = [("a", "b")];
        assert_eq!(with_query("https://h/p", &pair), "https://h/p?a=b");
        assert_eq!(with_query("https://h/p?", &pair), "https://h/p?a=b");
        assert_eq!(with_query("https://h/p?x=y", &pair), "https://h/p?x=y&a=b");
    }

    #[test]
    fn comparison_finds_every_difference() {
        assert!(is_same("", "") && is_same("abc", "abc"));
        for other in ["abd", "xbc", "ab", "abcd", ""] {
            assert!(!is_same("abc", other), "{other}");
        }
    }
}
