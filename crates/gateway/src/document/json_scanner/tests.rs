//! Documents as a visitor sees them, however they are cut.

use std::fmt::Write;

use proptest::prelude::*;

use super::*;

/// A visitor that writes each visit down. The path of a member is the first letter of its key.
#[derive(Default)]
struct Visits(String);

impl JsonVisitor for Visits {
    type Path = char;
    const SKIPPED: char = '-';

    fn is_skipped(path: char) -> bool {
        path == '-'
    }

    fn member(&mut self, _: char, key: &[u8]) -> char {
        match key {
            b"skip" => '-',
            key => char::from(*key.first().unwrap_or(&b'?')),
        }
    }

    fn element(&mut self, of: char) -> char {
        of
    }

    fn begin(&mut self, path: char, is_object: bool) {
        let open = if is_object { '{' } else { '[' };
        write!(self.0, "{path}{open}").expect("a string");
    }

    fn end(&mut self, _: char) {
        self.0.push('}');
    }

    fn text(&mut self, _: char, part: &[u8]) {
        self.0.push_str(&String::from_utf8_lossy(part));
    }

    fn end_text(&mut self, path: char) {
        write!(self.0, "\"{path} ").expect("a string");
    }

    fn scalar(&mut self, path: char, token: &[u8]) {
        write!(self.0, "{path}={} ", String::from_utf8_lossy(token)).expect("a string");
    }
}

fn visits(pieces: &[&[u8]]) -> (String, bool) {
    let (mut visits, mut scanner) = (Visits::default(), JsonScanner::new('r'));
    for piece in pieces {
        scanner.feed(&mut visits, piece);
    }
    (visits.0, scanner.is_whole_object())
}

#[test]
fn values_are_visited_with_their_paths() {
    for (json, expected, is_whole) in [
        (
            r#"{"a":1,"b":[true,null]}"#,
            "r{a=1 b[b=true b=null }}",
            true,
        ),
        (r#" {"a":{"c":"x\"y"}} "#, "r{a{x\\\"y\"c }}", true),
        (
            r#"{"skip":{"a":[{"b":"]}"}]},"c":NaN,"d":-Infinity}"#,
            "r{c=NaN d=-Infinity }",
            true,
        ),
        (r#"{"\u0061":1e2}"#, "r{a=1e2 }", true),
        (r#"{"a":1} {"b":2} x"#, "r{a=1 }", true),
        (r#"{"a":[1"#, "r{a[", false),
        (r#"[{"a":1}]"#, "r[r{a=1 }}", false),
        ("5", "", false),
        ("5 ", "r=5 ", false),
        (r#""{}""#, "{}\"r ", false),
        ("", "", false),
    ] {
        assert_eq!(
            visits(&[json.as_bytes()]),
            (expected.into(), is_whole),
            "{json}"
        );
    }
}

#[test]
fn value_that_is_too_long_or_too_deep_is_skipped() {
    let long = "k".repeat(MAX_TOKEN_BYTES + 1);
    let json = format!(r#"{{"{long}":1,"a":{long},"b":2}}"#);
    assert_eq!(visits(&[json.as_bytes()]).0, "r{?=1 a= b=2 }");
    let (open, close) = ("[".repeat(100_000), "]".repeat(100_000));
    let json = format!(r#"{{"a":{open}{close},"b":2}}"#);
    let (text, is_whole) = visits(&[json.as_bytes()]);
    assert!(text.ends_with("b=2 }") && is_whole, "{text}");
}

proptest! {
    #[test]
    fn every_chunking_is_visited_alike(
        json in r#"[\[\]{}:,"\\a0 ]{0,40}"#,
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(json.len() + 1)).collect();
        at.extend([0, json.len()]);
        at.sort_unstable();
        let bytes = json.as_bytes();
        let pieces: Vec<&[u8]> = at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
        prop_assert_eq!(visits(&pieces), visits(&[bytes]));
    }
}
