//! Addresses of pages: a path of encoded segments, and a query of encoded pairs.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Characters that a segment or a value contains unencoded: the unreserved ones of RFC 3986.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// An address on this server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    path: String,
    query: String,
}

impl Link {
    /// Creates a link to a path of these segments; each is encoded.
    #[must_use]
    pub fn new<S: AsRef<str>>(segments: impl IntoIterator<Item = S>) -> Self {
        let mut link = Self::default();
        for segment in segments {
            link = link.segment(segment.as_ref());
        }
        link
    }

    /// Creates a link to a path that is encoded already, such as that of a request.
    #[must_use]
    pub fn to_path(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            query: String::new(),
        }
    }

    /// Appends a segment to the path.
    #[must_use]
    pub fn segment(mut self, segment: &str) -> Self {
        self.path.push('/');
        self.path.extend(utf8_percent_encode(segment, ENCODED));
        self
    }

    /// Appends a pair to the query.
    #[must_use]
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.query
            .push(if self.query.is_empty() { '?' } else { '&' });
        self.query.extend(utf8_percent_encode(name, ENCODED));
        self.query.push('=');
        self.query.extend(utf8_percent_encode(value, ENCODED));
        self
    }

    /// Appends pairs to the query.
    #[must_use]
    pub fn queries<'a>(self, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let append = |link: Self, (name, value): (&str, &str)| link.query(name, value);
        pairs.into_iter().fold(self, append)
    }

    /// Returns the path, without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        if self.path.is_empty() {
            "/"
        } else {
            &self.path
        }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.path())?;
        formatter.write_str(&self.query)
    }
}

/// Returns true if `target` is a path on this server, to which a redirect cannot lead elsewhere: it begins with exactly one
/// `/`, and has no backslash and no control character, which browsers treat as part of a host or ignore.
#[must_use]
pub fn is_local_target(target: &str) -> bool {
    let mut characters = target.chars();
    characters.next() == Some('/')
        && characters.next() != Some('/')
        && !target
            .chars()
            .any(|character| character == '\\' || character.is_control() || !character.is_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_and_values_are_encoded() {
        let link = Link::new(["console", "a/b", "ü"])
            .query("q", "a&b=c d")
            .query("x", "");
        assert_eq!(link.to_string(), "/console/a%2Fb/%C3%BC?q=a%26b%3Dc%20d&x=");
        assert_eq!(Link::default().to_string(), "/");
        assert_eq!(Link::new(["../..", ".."]).to_string(), "/..%2F../..");
    }

    #[test]
    fn a_target_elsewhere_is_refused() {
        for local in ["/", "/console", "/console/projects?x=//a", "/a#b"] {
            assert!(is_local_target(local), "{local}");
        }
        for elsewhere in [
            "",
            "//evil.net",
            "/\\evil.net",
            "\\/evil.net",
            "https://evil.net",
            "evil.net",
            "/\t/evil.net",
            "/\n/evil.net",
            " /console",
            "javascript:alert(1)",
        ] {
            assert!(!is_local_target(elsewhere), "{elsewhere:?}");
        }
    }
}
