//! Patterns of paths, such as `/threads/{thread_id}/runs`.

/// True if `path` is the path of `pattern`, or lies below it. A segment of the pattern in braces matches every segment but an
/// empty one.
#[must_use]
pub fn is_at_or_below(path: &str, pattern: &str) -> bool {
    let mut segments = path.split('/');
    pattern.split('/').all(|wanted| {
        let is_variable = wanted.starts_with('{');
        segments
            .next()
            .is_some_and(|segment| segment == wanted || is_variable && !segment.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_whole_segments() {
        for (path, pattern) in [
            ("/files", "/files"),
            ("/files/", "/files"),
            ("/files/a/content", "/files"),
            ("/files/a/content", "/files/{file_id}"),
            ("/files/a/content", "/files/{file_id}/content"),
        ] {
            assert!(is_at_or_below(path, pattern), "{path} {pattern}");
        }
        for (path, pattern) in [
            ("/filesystem", "/files"),
            ("files", "/files"),
            ("/v1/files", "/files"),
            ("/files", "/files/{file_id}"),
            ("/files/", "/files/{file_id}"),
            ("/files/a/b", "/files/{file_id}/content"),
            ("", "/files"),
        ] {
            assert!(!is_at_or_below(path, pattern), "{path} {pattern}");
        }
    }
}
