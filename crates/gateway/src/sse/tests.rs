//! The scanner, with every chunking, against a reader of whole streams.

use proptest::prelude::*;

use super::*;

/// A collector of the data of events, which hides those whose data is `secret`.
#[derive(Default)]
struct Collector {
    all: Vec<Vec<u8>>,
    data: Vec<u8>,
}

impl EventHandler for Collector {
    fn data(&mut self, part: &[u8]) {
        self.data.extend_from_slice(part);
    }

    fn name(&mut self, _: &[u8]) {}

    fn end(&mut self) -> Verdict {
        let data = std::mem::take(&mut self.data);
        let verdict = verdict(&data);
        self.all.push(data);
        verdict
    }
}

fn verdict(data: &[u8]) -> Verdict {
    match data {
        b"secret" => Verdict::Hide,
        _ => Verdict::Keep,
    }
}

/// Returns the events and the forwarded bytes for one chunking.
fn scan(hides: bool, pieces: &[&[u8]]) -> (Vec<Vec<u8>>, Vec<u8>) {
    let mut scanner = EventScanner::new(hides);
    let (mut seen, mut forwarded) = (Collector::default(), Vec::new());
    for piece in pieces {
        let piece = Bytes::copy_from_slice(piece);
        forwarded.extend_from_slice(&scanner.push(piece, &mut seen));
    }
    forwarded.extend_from_slice(&scanner.finish(&mut seen));
    (seen.all, forwarded)
}

/// Returns the lines of a text, each with its end.
fn lines_of(text: &str) -> Vec<(&str, &str)> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['\r', '\n']) {
        let length = if rest[at..].starts_with("\r\n") { 2 } else { 1 };
        lines.push((&rest[..at], &rest[at..at + length]));
        rest = &rest[at + length..];
    }
    lines.push((rest, ""));
    lines
}

/// Returns the events and the forwarded bytes, read line by line from the whole text.
fn naive(hides: bool, text: &str) -> (Vec<Vec<u8>>, Vec<u8>) {
    let (mut seen, mut forwarded) = (Vec::new(), String::new());
    let (mut event, mut data, mut has_fields) = (String::new(), Vec::new(), false);
    for (index, (line, end)) in lines_of(text).into_iter().enumerate() {
        event += line;
        event += end;
        let line = match index {
            0 => line.strip_prefix('\u{feff}').unwrap_or(line),
            _ => line,
        };
        if let Some(value) = line.strip_prefix("data:") {
            data.push(value.strip_prefix(' ').unwrap_or(value).to_owned());
        } else if line == "data" {
            data.push(String::new());
        }
        has_fields |= !line.is_empty() && !line.starts_with(':');
        let is_comment = line.starts_with(':') && !has_fields && !end.is_empty();
        if !(is_comment || line.is_empty() || end.is_empty()) {
            continue;
        }
        let whole = data.join("\n").into_bytes();
        let is_hidden = hides && has_fields && verdict(&whole) == Verdict::Hide;
        if has_fields {
            seen.push(whole);
        }
        if !is_hidden {
            forwarded += &event;
        }
        (event, data, has_fields) = (String::new(), Vec::new(), false);
    }
    (seen, forwarded.into_bytes())
}

#[test]
fn hidden_event_is_left_out_and_all_other_bytes_are_identical() {
    let text =
        b": hi\ndata: a\n\ndata: secret\r\n\r\nevent: x\ndata: b\ndata:c\n\ndata: [DONE]\n\n";
    let (seen, forwarded) = scan(true, &[text]);
    assert_eq!(seen, [&b"a"[..], b"secret", b"b\nc", b"[DONE]"]);
    let rest = b": hi\ndata: a\n\nevent: x\ndata: b\ndata:c\n\ndata: [DONE]\n\n";
    assert_eq!(forwarded, rest);
    assert_eq!(scan(false, &[text]).1, text);
}

#[test]
fn complete_events_pass_without_a_copy() {
    let piece = Bytes::from_static(b"data: a\n\ndata: b\n\n");
    let out = EventScanner::new(true).push(piece.clone(), &mut Collector::default());
    assert_eq!(out.as_ptr(), piece.as_ptr());
    assert_eq!(out, piece);
}

#[test]
fn lone_cr_ends_a_line_and_a_byte_order_mark_is_skipped() {
    let text = "\u{feff}data: a\r\rdata: secret\r\rdata: b\n\rdata: secret\r\n\ndata: c\r\r";
    let (seen, forwarded) = scan(true, &[text.as_bytes()]);
    assert_eq!(seen, [&b"a"[..], b"secret", b"b", b"secret", b"c"]);
    let left = "\u{feff}data: a\r\rdata: b\n\rdata: c\r\r";
    assert_eq!(forwarded, left.as_bytes());
    for cut in 0..=text.len() {
        let (one, two) = text.as_bytes().split_at(cut);
        assert_eq!(scan(true, &[one, two]).1, left.as_bytes(), "cut at {cut}");
    }
}

#[test]
fn lone_cr_ends_an_event_before_the_next_byte_comes() {
    let mut scanner = EventScanner::new(true);
    let out = scanner.push(
        Bytes::from_static(b"data: a\r\r"),
        &mut Collector::default(),
    );
    assert_eq!(out, "data: a\r\r");
    let out = scanner.push(Bytes::from_static(b": ping\r"), &mut Collector::default());
    assert_eq!(out, ": ping\r");
}

#[test]
fn event_without_an_end_is_not_held_back_and_the_next_is_read() {
    let mut text = b"data: ".to_vec();
    text.resize(4 * MAX_HELD_BYTES, b'x');
    text.extend_from_slice(b"\n\ndata: secret\n\ndata: b\n\n");
    let whole = scan(true, &[&text]);
    assert_eq!(whole.0.len(), 3);
    assert_eq!(whole.1.len(), text.len() - b"data: secret\n\n".len());
    let pieces: Vec<&[u8]> = text.chunks(60_000).collect();
    assert_eq!(scan(true, &pieces), whole);
    let mut scanner = EventScanner::new(true);
    let mut forwarded = 0;
    for piece in text[..3 * MAX_HELD_BYTES].chunks(1_000) {
        let piece = Bytes::copy_from_slice(piece);
        forwarded += scanner.push(piece, &mut Collector::default()).len();
    }
    assert_eq!(forwarded, 3 * MAX_HELD_BYTES);
    assert!(scanner.held.is_empty(), "nothing of it is kept");
}

fn lines() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        3 => Just("data: secret"),
        1 => Just("data: a"),
        1 => Just("data:b"),
        1 => Just("data"),
        3 => Just(""),
        1 => Just(": note"),
        1 => Just("event: x"),
        1 => Just("\u{feff}data: secret"),
        1 => Just("datum: x"),
        1 => Just("data: [DONE]"),
    ];
    let end = prop_oneof![Just("\n"), Just("\r\n"), Just("\n"), Just("\r"), Just("")];
    proptest::collection::vec((line, end), 0..20).prop_map(|lines| {
        let parts = lines.iter().flat_map(|(line, end)| [*line, *end]);
        parts.collect()
    })
}

proptest! {
    #[test]
    fn every_chunking_gives_what_a_naive_parser_gives(
        text in lines(),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..12),
        hides: bool,
    ) {
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        at.extend([0, text.len()]);
        at.sort_unstable();
        let bytes = text.as_bytes();
        let pieces: Vec<&[u8]> = at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
        let scanned = scan(hides, &pieces);
        prop_assert_eq!(&scanned, &naive(hides, &text));
        if !hides {
            prop_assert_eq!(scanned.1, bytes);
        }
    }
}
