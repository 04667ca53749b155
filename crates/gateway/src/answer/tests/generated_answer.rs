//! Random answers in the formats of model servers, with the usage that is expected of them.

use super::coding::encode;
use super::generated_usage::{input_usage, usage};
use super::rng::Rng;
use super::unit::{Unit, chunk, error, file, lines, noise, said, text};

/// The usage that an answer reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ExpectedUsage {
    pub(super) input: Option<i64>,
    pub(super) output: Option<i64>,
    pub(super) cached: Option<i64>,
    pub(super) images: Option<i64>,
}

/// A random answer.
#[derive(Debug)]
pub(super) struct GeneratedAnswer {
    pub(super) path: &'static str,
    pub(super) is_stream: bool,
    pub(super) hides: bool,
    pub(super) content_type: &'static str,
    pub(super) encoding: &'static str,
    units: Vec<Unit>,
}

/// The facts that are known from the beginning of an answer.
#[derive(Default)]
pub(super) struct Expected {
    pub(super) usage: ExpectedUsage,
    pub(super) has_error: bool,
    pub(super) is_whole: bool,
    is_done: bool,
}

impl GeneratedAnswer {
    pub(super) fn new(rng: &mut Rng) -> Self {
        let mut made = match rng.up_to(9) {
            0..=4 => Self::chat(rng),
            5 => Self::responses(rng),
            6 => Self::images(rng),
            _ => Self::whole(rng),
        };
        let encodings = ["gzip", "deflate", "br", "zstd"];
        if rng.once_in(4) {
            made.encoding = *rng.one(&encodings);
        }
        made
    }

    fn stream(rng: &mut Rng, path: &'static str, events: Vec<Unit>) -> Self {
        let types = [
            "text/event-stream",
            "text/event-stream; charset=utf-8",
            "Text/Event-Stream",
            "text/plain; charset=utf-8",
            "application/json",
            "application/octet-stream",
            "",
        ];
        let mut units = Vec::new();
        let all: [&[&'static str]; 4] = [&["\n"], &["\r\n"], &["\r"], &["\n", "\r\n", "\r"]];
        let ends = *rng.one(&all);
        for (index, event) in events.into_iter().enumerate() {
            if rng.once_in(8) {
                units.push(lines(rng, ends, &[": ping", ""], Unit::default()));
            }
            let mut before = Vec::new();
            if rng.once_in(6) {
                let fields = ["id: 1", "retry: 5", "event: message", "x"];
                let known = if index == 0 {
                    &fields[..3]
                } else {
                    &fields[..]
                };
                before.push(*rng.one(known));
            }
            let unit = lines(rng, ends, &before, event);
            units.push(if index == 0 && units.is_empty() && rng.once_in(6) {
                unit.after("\u{feff}")
            } else {
                unit
            });
        }
        Self {
            path,
            is_stream: true,
            hides: false,
            content_type: *rng.one(&types),
            encoding: "",
            units,
        }
    }

    /// A stream of chat or text completions.
    fn chat(rng: &mut Rng) -> Self {
        let is_chat = rng.once_in(2);
        let mut events = Vec::new();
        let mut texts = rng.up_to(3) + 1;
        let in_each = rng.once_in(6);
        while texts > 0 {
            texts -= 1;
            let choice = said(rng, is_chat);
            let usage = (in_each || rng.once_in(20)).then(|| usage(rng));
            events.push(chunk(rng, Some(&format!("[{choice}]")), usage, Some(false)));
        }
        let with_end = rng.once_in(4).then(|| usage(rng));
        let end = r#"[{"index":0,"delta":{},"text":"","finish_reason":"stop"}]"#;
        events.push(chunk(rng, Some(end), with_end, Some(true)));
        let done = || Unit {
            is_done: true,
            ..Unit::of_data("[DONE]".to_owned(), None)
        };
        let has_done = !rng.once_in(4);
        let is_late = rng.once_in(5);
        if has_done && is_late {
            events.push(done());
        }
        if !rng.once_in(4) {
            let nothing = [
                Some("[]"),
                None,
                Some(r#"[{"index":0,"delta":{}}]"#),
                Some(r#"[{"index":0,"text":"","logprobs":null,"finish_reason":null}]"#),
                Some(r#"[{"delta":{"content":"","tool_calls":[],"role":null},"index":0}]"#),
            ];
            let choices = *rng.one(&nothing);
            let usage = usage(rng);
            let mut event = chunk(rng, choices, Some(usage), Some(true));
            event.is_usage = true;
            events.push(event);
        }
        if has_done && !is_late {
            events.push(done());
        }
        if rng.once_in(8) {
            let at = rng.up_to(events.len());
            events.insert(at, error(rng));
        }
        let path = match is_chat {
            true => "/chat/completions",
            false => "/completions",
        };
        Self {
            hides: rng.once_in(2),
            ..Self::stream(rng, path, events)
        }
    }

    fn responses(rng: &mut Rng) -> Self {
        let created = r#"{"type":"response.created","response":{"status":"in_progress","output":[],"usage":null}}"#;
        let mut events = vec![Unit::of_data(created.to_owned(), None)];
        for _ in 0..rng.up_to(3) {
            let text = text(rng);
            let data = format!(r#"{{"type":"response.output_text.delta","delta":"{text}"}}"#);
            events.push(Unit::of_data(data, None));
        }
        let (usage, report) = usage(rng);
        let file = file(rng);
        let kind = rng.one(&["completed", "incomplete"]);
        let mut response = [
            format!(r#""status":"{kind}""#),
            format!(r#""output":[{{"type":"image_generation_call","result":"{file}"}}]"#),
            format!(r#""usage":{usage}"#),
            r#""error":null"#.to_owned(),
        ];
        rng.shuffle(&mut response);
        let mut members = [
            format!(r#""type":"response.{kind}""#),
            format!(r#""response":{{{}}}"#, response.join(",")),
        ];
        rng.shuffle(&mut members);
        let data = format!("{{{}}}", members.join(","));
        events.push(Unit::of_data(data, Some(true)).reporting(&usage, report));
        Self::stream(rng, "/responses", events)
    }

    fn images(rng: &mut Rng) -> Self {
        let mut events = Vec::new();
        for _ in 0..=rng.up_to(2) {
            let sketch = r#"{"type":"image_generation.partial_image","b64_json":"AAAA"}"#;
            events.push(Unit::of_data(sketch.to_owned(), Some(false)));
            let (usage, report) = usage(rng);
            let file = file(rng);
            let mut members = [
                r#""type":"image_generation.completed""#.to_owned(),
                format!(r#""b64_json":"{file}""#),
                format!(r#""usage":{usage}"#),
            ];
            rng.shuffle(&mut members);
            let data = format!("{{{}}}", members.join(","));
            let mut event = Unit::of_data(data, Some(true)).reporting(&usage, report);
            event.is_image = true;
            // Each image is reported as a whole, or not at all.
            event.report = event.report.map(|(_, report)| (event.whole_at, report));
            events.push(event);
        }
        Self::stream(rng, "/images/generations", events)
    }

    /// An answer that is no stream.
    fn whole(rng: &mut Rng) -> Self {
        let paths = [
            "/chat/completions",
            "/completions",
            "/responses",
            "/images/generations",
            "/embeddings",
            "/moderations",
        ];
        let path = *rng.one(&paths);
        let (usage, report) = match path {
            "/embeddings" | "/moderations" => input_usage(rng),
            _ => usage(rng),
        };
        let (content, file) = (text(rng), file(rng));
        let answer = match path {
            "/chat/completions" => {
                format!(r#""choices":[{{"message":{{"content":"{content}"}}}}]"#)
            }
            "/completions" => format!(r#""choices":[{{"text":"{content}"}}]"#),
            "/responses" => {
                format!(r#""output":[{{"type":"image_generation_call","result":"{file}"}}]"#)
            }
            "/moderations" => r#""results":[{"flagged":false}]"#.to_owned(),
            _ => format!(r#""data":[{{"b64_json":"{file}"}},{{"b64_json":"}}]"}}]"#),
        };
        let mut members = vec![answer, r#""id":"x""#.to_owned()];
        if !rng.once_in(6) {
            members.push(format!(r#""usage":{usage}"#));
        }
        members.extend(noise(rng));
        rng.shuffle(&mut members);
        let data = format!("{{{}}}", members.join(","));
        let mut unit = Unit::of_data(data, Some(true)).reporting(&usage, report);
        unit.is_image = path == "/images/generations";
        if rng.once_in(10) {
            unit = error(rng);
        }
        let before = *rng.one(&["", "", "", "\u{feff}", " \n"]);
        let mut unit = unit.after(before);
        unit.bytes
            .extend_from_slice(rng.one(&["", "\n", "  "]).as_bytes());
        let types = [
            "application/json",
            "Application/JSON; charset=utf-8",
            "text/event-stream",
            "",
        ];
        Self {
            path,
            is_stream: rng.once_in(2),
            hides: rng.once_in(4) && path.ends_with("completions"),
            content_type: *rng.one(&types),
            encoding: "",
            units: vec![unit],
        }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.units
            .iter()
            .flat_map(|unit| unit.bytes.clone())
            .collect()
    }

    pub(super) fn length(&self) -> usize {
        self.units.iter().map(|unit| unit.bytes.len()).sum()
    }

    pub(super) fn encoded(&self, plain: &[u8]) -> Vec<u8> {
        encode(self.encoding, plain)
    }

    /// Returns the units within the first `length` bytes, each with the number of its bytes among them.
    fn come(&self, mut length: usize) -> Vec<(&Unit, usize)> {
        let mut come = Vec::new();
        for unit in &self.units {
            let part = length.min(unit.bytes.len());
            come.push((unit, part));
            length -= part;
            if length == 0 && part < unit.bytes.len() {
                break;
            }
        }
        come
    }

    /// Returns the forwarded bytes of complete units, and those of the truncated one.
    pub(super) fn shown(&self, plain: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let (mut shown, mut open) = (Vec::new(), Vec::new());
        for (unit, part) in self.come(plain.len()) {
            if part < unit.bytes.len() {
                open.extend_from_slice(&unit.bytes[..part]);
            } else if !(self.hides && unit.is_usage) {
                shown.extend_from_slice(&unit.bytes);
            }
        }
        (shown, open)
    }

    /// True if the truncated unit is one to hide.
    pub(super) fn opens_hidden(&self, plain: &[u8]) -> bool {
        let come = self.come(plain.len());
        let last = come.last().filter(|(unit, part)| *part < unit.bytes.len());
        self.hides && last.is_some_and(|(unit, _)| unit.is_usage)
    }

    /// Returns the number of counted sides: input, or input and output.
    pub(super) fn sides(&self) -> usize {
        match self.path {
            "/embeddings" | "/moderations" => 1,
            _ => 2,
        }
    }

    /// True if images are counted, and tokens only where they are reported.
    pub(super) fn is_of_units(&self) -> bool {
        self.path == "/images/generations"
    }

    /// Returns the facts that are known from the first `length` bytes.
    pub(super) fn expected(&self, length: usize) -> Expected {
        let mut expected = Expected::default();
        let is_sum = self.is_of_units() && self.units.len() > 1;
        for (unit, part) in self.come(length) {
            let is_whole = part > 0 && part >= unit.whole_at;
            if let Some((at, report)) = unit.report
                && part >= at
            {
                expected.usage = expected.usage.and(&report, is_sum);
            }
            if unit.is_image && is_whole && unit.error_at.is_none() {
                let images = expected.usage.images.unwrap_or(0);
                expected.usage.images = Some(images + if is_sum { 1 } else { 2 });
            }
            expected.has_error |= unit.error_at.is_some_and(|at| part >= at);
            expected.is_done |= unit.is_done && is_whole;
            let ends = unit.ends.filter(|_| is_whole);
            expected.is_whole = ends.unwrap_or(expected.is_whole) || expected.is_done;
        }
        expected
    }
}

impl ExpectedUsage {
    /// Returns the usage of two reports: their sum, or the later one, completed by the earlier one.
    fn and(self, later: &Self, is_sum: bool) -> Self {
        let add = |one: Option<i64>, two: Option<i64>| match (one, two) {
            (Some(one), Some(two)) if is_sum => Some(one + two),
            (one, two) => two.or(one),
        };
        if !is_sum && later.input.is_some() && later.output.is_some() {
            let images = self.images;
            return Self { images, ..*later };
        }
        Self {
            input: add(self.input, later.input),
            output: add(self.output, later.output),
            cached: add(self.cached, later.cached),
            images: self.images,
        }
    }
}
