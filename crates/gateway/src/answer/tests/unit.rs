//! The events of a stream, with what is true of each.

use super::dice::Dice;
use super::made::Report;

/// An event, a comment, or all of an answer in one piece.
#[derive(Default)]
pub(super) struct Unit {
    pub(super) bytes: Vec<u8>,
    /// True if it is there for the usage alone.
    pub(super) is_usage: bool,
    /// The offset at which its document is whole.
    pub(super) whole_at: usize,
    /// The offset at which its usage is whole, and that.
    pub(super) report: Option<(usize, Report)>,
    /// The offset at which it shows that it is an error.
    pub(super) error_at: Option<usize>,
    /// True if the answer is whole once this has come; false if it is not any more.
    pub(super) ends: Option<bool>,
    pub(super) is_image: bool,
    /// True if it says that the stream is complete.
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

    /// Its document has this usage, if it has any.
    pub(super) fn reporting(mut self, usage: &str, report: Report) -> Self {
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

/// The lines of an event: those before its data, which has a line if there is any, and an empty one.
pub(super) fn lines(dice: &mut Dice, ends: &[&'static str], before: &[&str], unit: Unit) -> Unit {
    let mut start = String::new();
    for line in before {
        // An LF alone would belong to the CR before it.
        let after_cr = start.ends_with('\r') && line.is_empty();
        start += line;
        start += end(dice, ends, after_cr);
    }
    if unit.bytes.is_empty() {
        return unit.after(&start);
    }
    start += *dice.one(&["data: ", "data:"]);
    let mut unit = unit.after(&start);
    let first = end(dice, ends, false);
    unit.bytes.extend_from_slice(first.as_bytes());
    let second = end(dice, ends, first == "\r");
    unit.bytes.extend_from_slice(second.as_bytes());
    unit
}

fn end(dice: &mut Dice, ends: &[&'static str], after_cr: bool) -> &'static str {
    let end = *dice.one(ends);
    if after_cr && end == "\n" { "\r\n" } else { end }
}

/// An event of a stream of completions.
pub(super) fn chunk(
    dice: &mut Dice,
    choices: Option<&str>,
    usage: Option<(String, Report)>,
    ends: Option<bool>,
) -> Unit {
    let mut members = vec![
        r#""id":"c""#.to_owned(),
        r#""object":"chat.completion.chunk""#.into(),
    ];
    members.extend(choices.map(|choices| format!(r#""choices":{choices}"#)));
    if let Some((usage, _)) = &usage {
        members.push(format!(r#""usage":{usage}"#));
    } else if dice.once_in(2) {
        members.push(r#""usage":null"#.to_owned());
    }
    dice.shuffle(&mut members);
    let unit = Unit::of_data(format!("{{{}}}", members.join(",")), ends);
    match usage {
        Some((usage, report)) => unit.reporting(&usage, report),
        None => unit,
    }
}

/// A choice that says something.
pub(super) fn said(dice: &mut Dice, is_chat: bool) -> String {
    let text = text(dice);
    if !is_chat {
        return format!(r#"{{"index":0,"text":"{text}","logprobs":null,"finish_reason":null}}"#);
    }
    let kinds = ["content", "reasoning_content", "reasoning", "refusal"];
    let kind = dice.one(&kinds);
    format!(r#"{{"index":0,"delta":{{"{kind}":"{text}"}},"finish_reason":null}}"#)
}

pub(super) fn text(dice: &mut Dice) -> &'static str {
    dice.one::<&str>(&[
        "Hello",
        r#"a \"quote\", and {[}"#,
        "\u{e9}\u{4f60}",
        r"\u4f60\n\n",
        "data: [DONE]",
        r#"\"usage\":{\"prompt_tokens\":5}}"#,
        "![](data:image/png;base64,iVBORw0KGgo=)",
    ])
}

pub(super) fn file(dice: &mut Dice) -> String {
    let length = if dice.once_in(500) { 150_000 } else { 8 };
    "A".repeat(length)
}

pub(super) fn noise(dice: &mut Dice) -> Vec<String> {
    let all = [
        r#""timings":{"usage":{"prompt_tokens":5}}"#,
        r#""logprobs":NaN"#,
        r#""error":null"#,
        r#""service_tier":null"#,
        r#""metadata":{"a":[[],{}],"b":"\"}"}"#,
    ];
    all.iter()
        .filter(|_| dice.once_in(4))
        .map(|it| (*it).to_owned())
        .collect()
}

/// A document that is an error.
pub(super) fn error(dice: &mut Dice) -> Unit {
    let (before, after) = *dice.one(&[
        (r#"{"error":{"#, r#""message":"boom","code":502}}"#),
        (r#"{"error":"b"#, r#"oom"}"#),
        (r#"{"object":"error""#, r#","message":"boom","code":500}"#),
        (r#"{"choices":[],"error":{"#, r#""type":"server_error"}}"#),
    ]);
    let mut unit = Unit::of_data(format!("{before}{after}"), None);
    unit.error_at = Some(before.len());
    unit
}
