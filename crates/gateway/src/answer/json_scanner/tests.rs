//! What is heard of documents, however they are cut.

use std::fmt::Write;

use proptest::prelude::*;

use super::*;

/// Writes down what it hears of: `a` is followed, `b` is not, and all others are values.
#[derive(Default)]
struct Heard(String);

impl Sink for Heard {
    type Place = char;
    const SKIPPED: char = '-';

    fn is_skipped(place: char) -> bool {
        place == '-'
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

    fn begin(&mut self, place: char, is_object: bool) {
        let open = if is_object { '{' } else { '[' };
        write!(self.0, "{place}{open}").expect("a string");
    }

    fn end(&mut self, _: char) {
        self.0.push('}');
    }

    fn text(&mut self, _: char, part: &[u8]) {
        self.0.push_str(&String::from_utf8_lossy(part));
    }

    fn end_text(&mut self, place: char) {
        write!(self.0, "\"{place} ").expect("a string");
    }

    fn scalar(&mut self, place: char, word: &[u8]) {
        write!(self.0, "{place}={} ", String::from_utf8_lossy(word)).expect("a string");
    }
}

fn heard(pieces: &[&[u8]]) -> (String, bool) {
    let (mut heard, mut scanner) = (Heard::default(), Scanner::new('r'));
    for piece in pieces {
        scanner.feed(&mut heard, piece);
    }
    (heard.0, scanner.is_whole_object())
}

#[test]
fn values_are_heard_with_their_places() {
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
            heard(&[json.as_bytes()]),
            (expected.into(), is_whole),
            "{json}"
        );
    }
}

#[test]
fn what_is_too_long_or_too_deep_is_skipped() {
    let long = "k".repeat(MAX_WORD + 1);
    let json = format!(r#"{{"{long}":1,"a":{long},"b":2}}"#);
    assert_eq!(heard(&[json.as_bytes()]).0, "r{?=1 a= b=2 }");
    let (open, close) = ("[".repeat(100_000), "]".repeat(100_000));
    let json = format!(r#"{{"a":{open}{close},"b":2}}"#);
    let (text, is_whole) = heard(&[json.as_bytes()]);
    assert!(text.ends_with("b=2 }") && is_whole, "{text}");
}

proptest! {
    #[test]
    fn every_way_of_cutting_is_heard_alike(
        json in r#"[\[\]{}:,"\\a0 ]{0,40}"#,
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(json.len() + 1)).collect();
        at.extend([0, json.len()]);
        at.sort_unstable();
        let bytes = json.as_bytes();
        let pieces: Vec<&[u8]> = at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
        prop_assert_eq!(heard(&pieces), heard(&[bytes]));
    }
}
