//! The input file of a batch: one request on each line, validated when the file is uploaded, or before a batch first uses it.

use std::borrow::Cow;
use std::collections::BTreeSet;

use access::{HostedTool, HostedTools};
use base::ids::SpendReservationId;
use base::{Error, Result};
use bytes::Bytes;
use http::HeaderMap;
use proxy::ApiFormat;
use serde::{Deserialize, Serialize};

use super::ownership::unknown_owner;
use crate::dialect::{
    Call, Dialect, Fields, MAX_OBJECT_REFS, MaxUsage, ObjectRefs, RequestedPromptCache,
    RequestedTier,
};
use crate::document::StoredAnswer;

/// The maximum number of models that the tools of a batch may name.
const MAX_MODELS: usize = 100;
/// The maximum number of service tiers that the requests of a batch may ask for.
const MAX_TIERS: usize = 16;
/// The longest name of a service tier that is stored, in characters.
const MAX_TIER_CHARS: usize = 80;
/// The maximum number of requests in a batch.
const MAX_LINES: usize = 50_000;

/// A summary of the requests of a batch, stored with its input file and with the batch.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct BatchInput {
    /// Path of the endpoint below `/v1`.
    pub(super) path: Cow<'static, str>,
    pub(super) model: String,
    pub(super) requests: i64,
    /// Estimated input tokens.
    pub(super) tokens: i64,
    /// Names of the requested hosted tools.
    pub(super) tools: Vec<Cow<'static, str>>,
    /// Files and vector stores that the requests name.
    #[serde(rename = "mentions")]
    pub(super) object_refs: ObjectRefs,
    /// Maximum usage of all requests; `None` if an older version has read the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) most: Option<MaxUsage>,
    /// Maximum tokens of each request; `None` if an older version has read the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) longest: Option<MaxUsage>,
    /// Numbers of input tokens above which a request has other prices, in ascending order, as of the batch's creation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) bands: Vec<i64>,
    /// Spend reservation for the batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reservation: Option<SpendReservationId>,
    /// Content that project policies depend on; `None` if an older version has read the file.
    #[serde(default)]
    pub(super) facts: Option<PolicyFacts>,
}

/// Content that not every project may send.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PolicyFacts {
    /// First line whose answer a model server would store.
    pub(super) stored: Option<usize>,
    /// Models that tools name.
    #[serde(default)]
    pub(super) models: BTreeSet<String>,
    /// Service tiers that the requests ask for; `None` if an older version has read the file.
    #[serde(default)]
    pub(super) tiers: Option<BTreeSet<String>>,
    /// Prompt caches that the requests ask for; `None` if an older version has read the file.
    #[serde(default)]
    pub(super) prompt_caches: Option<PromptCacheLines>,
}

/// Lines of a file by the prompt cache that they ask for. Lines for endpoints without prompt caches are in none of them.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PromptCacheLines {
    /// First line that leaves the prompt cache to the model server.
    pub(super) default: Option<usize>,
    /// First line that asks for a prompt cache in memory.
    pub(super) in_memory: Option<usize>,
    /// First line that asks for another one.
    pub(super) other: Option<usize>,
}

/// A reader of the lines of a file, one after the other.
#[derive(Default)]
pub(super) struct BatchInputReader {
    input: Option<BatchInput>,
    /// The number of lines so far.
    lines: usize,
    /// The index of the first empty line after the last request.
    first_blank: Option<usize>,
}

/// Fields of a line.
const LINE_FIELDS: &[&str] = &["custom_id", "method", "url", "body"];

impl BatchInput {
    /// Reads a file, whose requests must be for one model and one endpoint.
    ///
    /// # Errors
    /// 400 naming the invalid line.
    pub(super) fn read(file: &Bytes) -> Result<Self> {
        let text = std::str::from_utf8(file).map_err(|_| invalid("it is not UTF-8"))?;
        let mut reader = BatchInputReader::default();
        for line in text.trim_end().split('\n') {
            reader.push(&file.slice_ref(line.as_bytes()))?;
        }
        reader.finish()
    }

    fn new(path: &'static str, model: &str) -> Self {
        Self {
            path: path.into(),
            model: model.to_owned(),
            facts: Some(PolicyFacts {
                tiers: Some(BTreeSet::new()),
                prompt_caches: Some(PromptCacheLines::default()),
                ..PolicyFacts::default()
            }),
            ..Self::default()
        }
    }

    /// Returns the kind of the answers, if they may leave something at their model server.
    pub(super) fn stored_answer(&self) -> Option<StoredAnswer> {
        let answer = Dialect::at(&self.path)?.stored_answer?;
        let facts = self.facts.as_ref();
        if facts.is_none_or(|facts| facts.stored.is_some()) {
            return Some(answer);
        }
        let runs_programs = self
            .tools
            .iter()
            .any(|tool| tool == HostedTool::CodeInterpreter.as_str());
        (answer == StoredAnswer::Response && runs_programs)
            .then_some(StoredAnswer::UnstoredResponse)
    }

    /// Returns the JSON that is stored.
    pub(super) fn to_text(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|_| Error::internal())
    }

    /// Reads the stored JSON; `None` if there is none.
    pub(super) fn of_text(text: Option<&str>) -> Option<Self> {
        serde_json::from_str(text?).ok()
    }
}

impl BatchInputReader {
    /// Reads the next line, without its line feed. An empty line may only be followed by others.
    ///
    /// # Errors
    /// 400 naming the invalid line.
    pub(super) fn push(&mut self, line: &Bytes) -> Result<()> {
        let text = std::str::from_utf8(line).map_err(|_| invalid("it is not UTF-8"))?;
        if text.trim_end().is_empty() {
            self.first_blank.get_or_insert(self.lines);
            self.lines += 1;
            return Ok(());
        }
        if let Some(blank) = self.first_blank {
            return Err(blank_line(blank));
        }
        let index = self.lines;
        if index == MAX_LINES {
            return Err(invalid(&format!("it has more than {MAX_LINES} requests")));
        }
        self.lines += 1;
        self.add(index, line, text.strip_suffix('\r').unwrap_or(text))
    }

    /// Returns the requests of all lines.
    ///
    /// # Errors
    /// 400: there is none.
    pub(super) fn finish(self) -> Result<BatchInput> {
        self.input.ok_or_else(|| blank_line(0))
    }

    /// Adds the request on a line.
    fn add(&mut self, index: usize, file: &Bytes, line: &str) -> Result<()> {
        let wrong = |reason: &str| invalid(&format!("line {}: {reason}", index + 1));
        let (dialect, call) = call(file, line).map_err(|reason| wrong(&reason))?;
        let path = dialect.path;
        let new = || BatchInput::new(path, &call.model);
        let input = self.input.get_or_insert_with(new);
        if path != input.path {
            return Err(wrong("its url is another one than on the first line"));
        }
        if call.model != input.model {
            let reason = "its model is another one than on the first line; a batch has one model";
            return Err(wrong(reason));
        }
        input.requests += 1;
        input.tokens = input.tokens.saturating_add(call.tokens());
        let most = call.max_usage(dialect);
        let most = most.map_err(|error| wrong(&error.message))?;
        input.longest.get_or_insert_default().widen(&most);
        input.most.get_or_insert_default().add(most);
        if let Some(name) = call.unowned_ref {
            return Err(wrong(&unknown_owner(name).message));
        }
        input.object_refs.extend(&call.object_refs);
        if input.object_refs.max_count() > MAX_OBJECT_REFS {
            return Err(wrong(
                "too many files, vector stores or containers are mentioned up to here",
            ));
        }
        let facts = input.facts.get_or_insert_default();
        facts.add(index + 1, &call);
        if facts.models.len() > MAX_MODELS {
            return Err(wrong("too many models are named by tools up to here"));
        }
        let tiers = facts.tiers.as_ref().map_or(0, BTreeSet::len);
        if tiers > MAX_TIERS {
            return Err(wrong("too many service tiers are asked for up to here"));
        }
        for tool in tools(&call).map_err(|error| wrong(&error.message))? {
            if !input.tools.contains(&tool) {
                input.tools.push(tool);
            }
        }
        Ok(())
    }
}

impl PolicyFacts {
    fn add(&mut self, line: usize, call: &Call) {
        if call.is_stored() {
            self.stored.get_or_insert(line);
        }
        if let Some(requested) = call.requested_prompt_cache() {
            let lines = self.prompt_caches.get_or_insert_default();
            let first = match requested {
                RequestedPromptCache::Default => &mut lines.default,
                RequestedPromptCache::InMemory => &mut lines.in_memory,
                RequestedPromptCache::Other => &mut lines.other,
            };
            first.get_or_insert(line);
        }
        self.models.extend(call.models.iter().cloned());
        let tier = call.requested_tier();
        if let Some(tier) = tier.filter(|tier| **tier != RequestedTier::Auto) {
            let name = tier.name().chars().take(MAX_TIER_CHARS).collect();
            self.tiers.get_or_insert_default().insert(name);
        }
    }
}

/// Reads the request on a line.
///
/// # Errors
/// The predicate of a sentence that has the line as its subject.
fn call(file: &Bytes, line: &str) -> Result<(&'static Dialect, Call), String> {
    if line.contains('\r') {
        return Err("it has a carriage return in it".to_owned());
    }
    let none = |error: Error| {
        let reason = error.message;
        format!("it is not an object with custom_id, method, url and body: {reason}")
    };
    let line = Fields::around(line.as_bytes(), LINE_FIELDS, "body").map_err(none)?;
    let text = |name: &'static str| {
        let missing = || format!("missing field {name}: it must be a string");
        line.text(name).ok().flatten().ok_or_else(missing)
    };
    let (custom_id, method, url) = (text("custom_id")?, text("method")?, text("url")?);
    let body = line.get("body").ok_or("missing field body")?;
    if custom_id.is_empty() {
        return Err("its custom_id is empty".to_owned());
    }
    if method != "POST" {
        return Err("its method is not POST".to_owned());
    }
    let path = url.strip_prefix("/v1").unwrap_or_default();
    let is_batched =
        |dialect: &&Dialect| dialect.is_for_batches() && dialect.api == ApiFormat::OpenAi;
    let dialect = Dialect::at(path).filter(is_batched);
    let dialect = dialect.ok_or("its url is no endpoint that a batch can have")?;
    let body = file.slice_ref(body);
    let call = Call::parse(dialect, &HeaderMap::new(), body);
    let call = call.map_err(|error| format!("its body: {}", error.message))?;
    if call.is_background {
        return Err("its body: background must be false in a batch".to_owned());
    }
    Ok((dialect, call))
}

/// Returns the names of the hosted tools that a request asks for.
fn tools(call: &Call) -> Result<Vec<Cow<'static, str>>> {
    let mut asked = Vec::new();
    for tool in HostedTool::ALL {
        let mut others = HostedTools::default();
        others.remove(*tool);
        if call.disallowed_tool(others)?.is_some() {
            asked.push(Cow::Borrowed(tool.as_str()));
        }
    }
    Ok(asked)
}

fn blank_line(index: usize) -> Error {
    let line = index + 1;
    invalid(&format!(
        "line {line}: it is not an object with custom_id, method, url and body: it is empty"
    ))
}

/// Returns the refusal of a file.
pub(super) fn invalid(reason: &str) -> Error {
    let reason = reason.trim_end_matches('.');
    let message = format!("The file cannot be the input of a batch: {reason}.");
    Error::invalid("file", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<BatchInput> {
        BatchInput::read(&Bytes::copy_from_slice(text.as_bytes()))
    }

    fn line(id: &str, url: &str, body: &str) -> String {
        format!(r#"{{"custom_id":"{id}","method":"POST","url":"{url}","body":{body}}}"#)
    }

    #[test]
    fn what_a_file_asks_for_is_added_up() {
        let chat = |body: &str| line("a", "/v1/chat/completions", body);
        let text = [
            chat(r#"{"model":"m","messages":"12345678"}"#),
            chat(r#"{"model":"m","messages":"12345678","tools":[{"type":"mcp"}]}"#),
            chat(
                r#"{"model":"m","messages":"","web_search_options":{},"tools":[{"type":"mcp"},{"type":"function"}]}"#,
            ),
        ];
        let work = read(&(text.join("\r\n") + "\r\n\n")).expect("work");
        assert_eq!(
            (work.path.as_ref(), work.model.as_str()),
            ("/chat/completions", "m")
        );
        let each = text.iter().map(|line| read(line).expect(line).tokens);
        let each: Vec<i64> = each.collect();
        assert!(each[0] >= 2 && each[1] > each[0], "{each:?}");
        assert_eq!((work.requests, work.tokens), (3, each.iter().sum()));
        assert_eq!(work.tools, ["mcp", "web_search"]);
        let again = BatchInput::of_text(Some(&work.to_text().expect("text")));
        assert_eq!(again, Some(work));
    }

    #[test]
    fn the_line_that_is_not_as_it_must_be_is_named() {
        let good = line("a", "/v1/embeddings", r#"{"model":"m","input":"x"}"#);
        for (bad, words) in [
            ("", "custom_id, method, url and body"),
            ("[]", "custom_id, method, url and body"),
            (r#"{"custom_id":"a"}"#, "missing field"),
            (&good.replace("POST", "GET"), "method is not POST"),
            (&good.replace("\"a\"", "\"\""), "custom_id is empty"),
            (&good.replace("/v1/emb", "/v2/emb"), "no endpoint"),
            (
                &good.replace("embeddings", "audio/translations"),
                "no endpoint",
            ),
            (
                &good.replace("embeddings", "responses/input_tokens"),
                "no endpoint",
            ),
            (
                &good.replace("embeddings", "completions"),
                "its url is another",
            ),
            (&good.replace("\"m\"", "\"n\""), "its model is another"),
            (&good.replace("\"m\"", "7"), "model must be a string"),
            (&good.replace("\"input\"", "\"model\""), "more than once"),
            (&good.replace("\"method\"", "\"url\""), "more than once"),
            (&good.replace("\"m\",", "\"m\",\r"), "carriage return"),
            (&good.replace("{\"model\":\"m\",", "{"), "model is missing"),
            (
                &good
                    .replace("embeddings", "responses")
                    .replace("\"m\",", "\"m\",\"background\":true,"),
                "background must be false",
            ),
        ] {
            let error = read(&format!("{good}\n{bad}\n{good}\n")).expect_err(bad);
            assert_eq!(
                (error.status.as_u16(), error.param.as_deref()),
                (400, Some("file"))
            );
            let message = &error.message;
            assert!(
                message.contains("line 2: ") && message.contains(words),
                "{bad}: {message}"
            );
        }
        for empty in ["", "\n \n"] {
            let error = read(empty).expect_err("no request");
            assert!(error.message.contains("line 1"), "{}", error.message);
        }
        let many = format!("{good}\n").repeat(MAX_LINES + 1);
        assert!(read(&many).expect_err("too many").message.contains("50000"));
        let not_text = BatchInput::read(&Bytes::from_static(b"\xff")).expect_err("no text");
        assert!(not_text.message.contains("UTF-8"));
    }
}
