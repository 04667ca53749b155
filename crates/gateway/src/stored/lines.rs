//! The input of a batch: one request on each line, looked at when it is uploaded.

use std::borrow::Cow;
use std::collections::BTreeSet;

use access::{HostedTool, HostedTools};
use base::ids::SpendReservationId;
use base::{Error, Result};
use bytes::Bytes;
use http::HeaderMap;
use serde::{Deserialize, Serialize};

use super::mentions::of_nobody;
use crate::dialect::{Call, Dialect, Fields, MAX_OBJECT_REFS, MaxUsage, ObjectRefs};
use crate::identify::Caller;

/// The most models that the tools of a batch may have.
const MAX_MODELS: usize = 100;
/// How many requests a batch may have.
const MOST_LINES: usize = 50_000;

/// What a batch asks for.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Work {
    /// The path of its endpoint, below `/v1`.
    pub(super) path: Cow<'static, str>,
    pub(super) model: String,
    pub(super) requests: i64,
    /// About how many tokens the input has.
    pub(super) tokens: i64,
    /// The hosted tools that are asked for, by name.
    pub(super) tools: Vec<Cow<'static, str>>,
    /// The files and vector stores that are mentioned.
    #[serde(rename = "mentions")]
    pub(super) object_refs: ObjectRefs,
    /// The most that all requests may consume; what an older version looked at has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) most: Option<MaxUsage>,
    /// The reservation for a batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reservation: Option<SpendReservationId>,
    /// Further facts that decide whether a project may make a batch of it. `None`: the file was uploaded before they were
    /// read.
    #[serde(default)]
    pub(super) facts: Option<Facts>,
}

/// The content that not every project may send.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Facts {
    /// The first line that a model server would store the answer of.
    pub(super) stored: Option<usize>,
    /// The models that tools have.
    #[serde(default)]
    pub(super) models: BTreeSet<String>,
}

/// The field that names a file of requests.
const INPUT: &str = "input_file_id";
/// The members of a line.
const MEMBERS: &[&str] = &["custom_id", "method", "url", "body"];

impl Work {
    /// Reads a file. All its requests are for one model and one endpoint.
    ///
    /// # Errors
    /// 400 naming the line that is not as it must be.
    pub(super) fn read(file: &Bytes) -> Result<Self> {
        let mut work: Option<Self> = None;
        let text = std::str::from_utf8(file).map_err(|_| invalid("it is not UTF-8"))?;
        for (index, line) in text.trim_end().split('\n').enumerate() {
            if index == MOST_LINES {
                return Err(invalid(&format!("it has more than {MOST_LINES} requests")));
            }
            let line = line.strip_suffix('\r').unwrap_or(line);
            let wrong = |reason: &str| invalid(&format!("line {}: {reason}", index + 1));
            let (dialect, call) = call(file, line).map_err(|reason| wrong(&reason))?;
            let path = dialect.path;
            let work = work.get_or_insert_with(|| Self::new(path, &call.model));
            if path != work.path {
                return Err(wrong("its url is another one than on the first line"));
            }
            if call.model != work.model {
                let reason =
                    "its model is another one than on the first line; a batch has one model";
                return Err(wrong(reason));
            }
            work.requests += 1;
            work.tokens = work.tokens.saturating_add(call.tokens());
            let most = call.max_usage(dialect);
            let most = most.map_err(|error| wrong(&error.message))?;
            work.most.get_or_insert_default().add(most);
            if let Some(name) = call.unowned_ref {
                return Err(wrong(&of_nobody(name).message));
            }
            work.object_refs.extend(&call.object_refs);
            if work.object_refs.max_count() > MAX_OBJECT_REFS {
                return Err(wrong(
                    "too many files or vector stores are mentioned up to here",
                ));
            }
            let facts = work.facts.get_or_insert_default();
            facts.add(index + 1, &call);
            if facts.models.len() > MAX_MODELS {
                return Err(wrong("too many models are named by tools up to here"));
            }
            for tool in tools(&call).map_err(|error| wrong(&error.message))? {
                if !work.tools.contains(&tool) {
                    work.tools.push(tool);
                }
            }
        }
        work.ok_or_else(|| invalid("it has no request"))
    }

    fn new(path: &'static str, model: &str) -> Self {
        Self {
            path: path.into(),
            model: model.to_owned(),
            requests: 0,
            tokens: 0,
            tools: Vec::new(),
            object_refs: ObjectRefs::default(),
            most: None,
            reservation: None,
            facts: Some(Facts::default()),
        }
    }

    /// As it is written in a row.
    pub(super) fn to_text(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|_| Error::internal())
    }

    /// What is written in a row; `None` if nothing is.
    pub(super) fn of_text(text: Option<&str>) -> Option<Self> {
        serde_json::from_str(text?).ok()
    }
}

impl Facts {
    fn add(&mut self, line: usize, call: &Call) {
        if call.is_stored() {
            self.stored.get_or_insert(line);
        }
        self.models.extend(call.models.iter().cloned());
    }
}

impl Caller {
    /// Refuses requests of a batch that the project may not send.
    ///
    /// # Errors
    /// 400: what is asked for, and on which line. 403: the model of a tool is not for this project.
    pub(super) fn may_send(&self, work: &Work) -> Result<()> {
        let wrong = |message: String| Err(Error::invalid(INPUT, message));
        let Some(facts) = &work.facts else {
            let message = "The file was uploaded before its requests were looked at as they are now: upload it again.";
            return wrong(message.to_owned());
        };
        for model in &facts.models {
            self.may_use_model(model)?;
        }
        let is_zero = self.settings.retention(self.level()).is_zero();
        if let (true, Some(line)) = (is_zero, facts.stored) {
            let path = &work.path;
            let message = format!(
                "The project has zero data retention, and the model server would keep what line {line} of the file asks \
                 for: each line for /v1{path} must say \"store\": false, and name no conversation."
            );
            return wrong(message);
        }
        Ok(())
    }
}

/// The request on a line: its endpoint, and what it asks for; or why it is none.
fn call(file: &Bytes, line: &str) -> Result<(&'static Dialect, Call), String> {
    if line.contains('\r') {
        return Err("it has a carriage return in it".to_owned());
    }
    let none = |error: Error| {
        let reason = error.message;
        format!("it is not an object with custom_id, method, url and body: {reason}")
    };
    let line = Fields::around(line.as_bytes(), MEMBERS, "body").map_err(none)?;
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
    let dialect = Dialect::at(path).filter(|dialect| dialect.takes_json());
    let dialect = dialect.ok_or("its url is no endpoint that a batch can have")?;
    let body = file.slice_ref(body);
    let call = Call::parse(dialect, &HeaderMap::new(), body);
    let call = call.map_err(|error| format!("its body: {}", error.message))?;
    Ok((dialect, call))
}

/// The hosted tools that a request asks for.
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

fn invalid(reason: &str) -> Error {
    let reason = reason.trim_end_matches('.');
    let message = format!("The file cannot be the input of a batch: {reason}.");
    Error::invalid("file", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Work> {
        Work::read(&Bytes::copy_from_slice(text.as_bytes()))
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
        let again = Work::of_text(Some(&work.to_text().expect("text")));
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
                &good.replace("embeddings", "completions"),
                "its url is another",
            ),
            (&good.replace("\"m\"", "\"n\""), "its model is another"),
            (&good.replace("\"m\"", "7"), "model must be a string"),
            (&good.replace("\"input\"", "\"model\""), "more than once"),
            (&good.replace("\"method\"", "\"url\""), "more than once"),
            (&good.replace("\"m\",", "\"m\",\r"), "carriage return"),
            (&good.replace("{\"model\":\"m\",", "{"), "model is missing"),
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
        let many = format!("{good}\n").repeat(MOST_LINES + 1);
        assert!(read(&many).expect_err("too many").message.contains("50000"));
        let not_text = Work::read(&Bytes::from_static(b"\xff")).expect_err("no text");
        assert!(not_text.message.contains("UTF-8"));
    }
}
