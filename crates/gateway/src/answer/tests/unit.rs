//! Random events of a stream, with the facts about each.

use super::generated_answer::ExpectedUsage;
use super::rng::Rng;

/// An event, a comment, or a complete answer that is no stream.
#[derive(Default)]
pub(super) struct Unit {
    pub(super) bytes: Vec<u8>,
    /// True if the event has nothing but usage.
    pub(super) is_usage: bool,
    /// The offset at which the document is complete.
    pub(super) whole_at: usize,
    /// The offset at which the usage is complete, and the usage.
    pub(super) report: Option<(usize, ExpectedUsage)>,
    /// The offset at which the document is known to be an error.
    pub(super) error_at: Option<usize>,
    /// True if the answer is complete after this unit, false if it no longer is.
    pub(super) ends: Option<bool>,
    pub(super) is_image: bool,
    /// True if the event says that the stream is complete.
    pub(super) is_done: bool,
}

impl std::fmt::Debug for Unit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bytes = &self.bytes[..self.bytes.len().min(600)];
        write!(f, "{:?}", String::from_utf8_lossy(bytes))
    }
}

impl Unit {
    pub(super) fn of_data(data: String, ends: Option<bool>) -> Self {
        Self {
            whole_at: data.len(),
            bytes: data.into_bytes(),
            ends,
            ..Self::default()
        }
    }

    /// Sets the usage of the document, if the document has it.
    pub(super) fn reporting(mut self, usage: &str, report: ExpectedUsage) -> Self {
        let data = String::from_utf8_lossy(&self.bytes);
        let at = data.find(&format!("\"usage\":{usage}"));
        self.report = at.map(|at| (at + "\"usage\":".len() + usage.len(), report));
        self
    }

    pub(super) fn after(mut self, before: &str) -> Self {
        let length = before.len();
        self.bytes.splice(..0, before.bytes());
        self.whole_at += length;
        self.report = self.report.map(|(at, report)| (at + length, report));
        self.error_at = self.error_at.map(|at| at + length);
        self
    }
}

/// Returns an event: the lines before its data, the line of its data if there is any, and an empty line.
pub(super) fn lines(rng: &mut Rng, ends: &[&'static str], before: &[&str], unit: Unit) -> Unit {
    let mut start = String::new();
    for line in before {
        // A lone LF would belong to the CR before it.
        let after_cr = start.ends_with('\r') && line.is_empty();
        start += line;
        start += end(rng, ends, after_cr);
    }
    if unit.bytes.is_empty() {
        return unit.after(&start);
    }
    start += *rng.one(&["data: ", "data:"]);
    let mut unit = unit.after(&start);
    let first = end(rng, ends, false);
    unit.bytes.extend_from_slice(first.as_bytes());
    let second = end(rng, ends, first == "\r");
    unit.bytes.extend_from_slice(second.as_bytes());
    unit
}

fn end(rng: &mut Rng, ends: &[&'static str], after_cr: bool) -> &'static str {
    let end = *rng.one(ends);
    if after_cr && end == "\n" { "\r\n" } else { end }
}

/// Returns an event of a stream of completions.
pub(super) fn chunk(
    rng: &mut Rng,
    choices: Option<&str>,
    usage: Option<(String, ExpectedUsage)>,
    ends: Option<bool>,
) -> Unit {
    let mut members = vec![
        r#""id":"c""#.to_owned(),
        r#""object":"chat.completion.chunk""#.into(),
    ];
    members.extend(choices.map(|choices| format!(r#""choices":{choices}"#)));
    if let Some((usage, _)) = &usage {
        members.push(format!(r#""usage":{usage}"#));
    } else if rng.once_in(2) {
        members.push(r#""usage":null"#.to_owned());
    }
    rng.shuffle(&mut members);
    let unit = Unit::of_data(format!("{{{}}}", members.join(",")), ends);
    match usage {
        Some((usage, report)) => unit.reporting(&usage, report),
        None => unit,
    }
}

/// Returns a choice with content.
pub(super) fn said(rng: &mut Rng, is_chat: bool) -> String {
    let text = text(rng);
    if !is_chat {
        return format!(r#"{{"index":0,"text":"{text}","logprobs":null,"finish_reason":null}}"#);
    }
    let kinds = ["content", "reasoning_content", "reasoning", "refusal"];
    let kind = rng.one(&kinds);
    format!(r#"{{"index":0,"delta":{{"{kind}":"{text}"}},"finish_reason":null}}"#)
}

pub(super) fn text(rng: &mut Rng) -> &'static str {
    rng.one::<&str>(&[
        "Hello",
        r#"a \"quote\", and {[}"#,
        "\u{e9}\u{4f60}",
        r"\u4f60\n\n",
        "data: [DONE]",
        r#"\"usage\":{\"prompt_tokens\":5}}"#,
        "![](data:image/png;base64,iVBORw0KGgo=)",
    ])
}

pub(super) fn file(rng: &mut Rng) -> String {
    let length = if rng.once_in(500) { 150_000 } else { 8 };
    "A".repeat(length)
}

pub(super) fn noise(rng: &mut Rng) -> Vec<String> {
    let all = [
        r#""timings":{"usage":{"prompt_tokens":5}}"#,
        r#""logprobs":NaN"#,
        r#""error":null"#,
        r#""service_tier":null"#,
        r#""metadata":{"a":[[],{}],"b":"\"}"}"#,
    ];
    all.iter()
        .filter(|_| rng.once_in(4))
        .map(|it| (*it).to_owned())
        .collect()
}

/// Returns a document that is an error.
pub(super) fn error(rng: &mut Rng) -> Unit {
    let (before, after) = *rng.one(&[
        (r#"{"error":{"#, r#""message":"boom","code":502}}"#),
        (r#"{"error":"b"#, r#"oom"}"#),
        (r#"{"object":"error""#, r#","message":"boom","code":500}"#),
        (r#"{"choices":[],"error":{"#, r#""type":"server_error"}}"#),
    ]);
    let mut unit = Unit::of_data(format!("{before}{after}"), None);
    unit.error_at = Some(before.len());
    unit
}
