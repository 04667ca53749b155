//! A differential test: Python reads the forwarded requests as the laxest of servers would, and finds nothing that was not
//! checked.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use access::{HostedTool, HostedTools};
use bytes::Bytes;
use http::HeaderMap;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRng, TestRunner};
use serde::Deserialize;

use super::estimate::OutputTokens;
use super::requested_tools::hosted_tool;
use super::{Call, Dialect};

/// The number of requests, unless `ORGPLANE_TEST_FUZZ_REQUESTS` sets another.
const DEFAULT_REQUESTS: usize = 2_000;

const NAMES: [&str; 27] = [
    "tools",
    "tool\u{17f}",
    "Tools",
    "type",
    "Type",
    "file_id",
    "file_ids",
    "File_ID",
    "f\u{131}le_id",
    "file\\u005fid",
    "max_tokens",
    "max_tokens",
    "Max_Tokens",
    "max_to\\u212aens",
    "n",
    "store",
    "Store",
    "stream",
    "input",
    "messages",
    "content",
    "metadata",
    "parameters",
    "Model",
    "mod\\u0065l",
    "x",
    "model\\u0000",
];

const LEAVES: [&str; 24] = [
    "\"secret\"",
    "\"file-1\"",
    "\"\\u0066ile-2\"",
    "\"mcp\"",
    "\"MCP\"",
    "\"web_search_preview\"",
    "\"function\"",
    "\"\\ud800\"",
    "\"90\"",
    "\" 7.0 \"",
    "9e2",
    "900.0",
    "1",
    "-1",
    "1.5",
    "1e999",
    "NaN",
    "null",
    "true",
    "false",
    "{}",
    "[]",
    "[{\"type\":\"mcp\"}]",
    "[\"file-3\"]",
];

/// The values that Python found.
#[derive(Debug, Deserialize)]
struct Found {
    models: Vec<String>,
    most: i64,
    tools: Vec<String>,
    files: Vec<String>,
    stored: bool,
}

struct Python {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Python {
    fn start() -> Self {
        let python = std::env::var("ORGPLANE_TEST_PYTHON")
            .expect("ORGPLANE_TEST_PYTHON is not set: run these tests with `cargo xtask test`");
        let mut child = Command::new(python)
            .args(["-c", include_str!("differential_tests/laxest.py")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python");
        let stdin = child.stdin.take().expect("its input");
        let stdout = BufReader::new(child.stdout.take().expect("its output"));
        Self {
            child,
            stdin,
            stdout,
        }
    }

    fn read(&mut self, body: &str) -> Found {
        let line = serde_json::to_string(body).expect("a string");
        writeln!(self.stdin, "{line}").expect("Python runs");
        let mut answer = String::new();
        self.stdout.read_line(&mut answer).expect("Python runs");
        serde_json::from_str(&answer).expect(body)
    }

    fn end(mut self) {
        drop(self.stdin);
        assert!(self.child.wait().expect("it ends").success());
    }
}

fn values() -> impl Strategy<Value = String> {
    let leaf = proptest::sample::select(&LEAVES[..]).prop_map(str::to_owned);
    leaf.prop_recursive(3, 12, 4, |inner| {
        let list = proptest::collection::vec(inner.clone(), 0..3);
        prop_oneof![
            list.prop_map(|items| format!("[{}]", items.join(","))),
            members(inner).prop_map(|members| format!("{{{members}}}")),
        ]
    })
}

fn members(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let member = (proptest::sample::select(&NAMES[..]), value);
    let member = member.prop_map(|(name, value)| format!("\"{name}\":{value}"));
    proptest::collection::vec(member, 0..3).prop_map(|members| members.join(","))
}

/// Checks that every value that was found is known to the call.
fn compare(call: &Call, found: &Found, body: &str) {
    assert!(
        found.models.iter().all(|model| *model == call.model),
        "{body}"
    );
    if found.most > 0 {
        let asked =
            matches!(call.estimate.output, OutputTokens::Requested(most) if most >= found.most);
        assert!(asked, "{body}: {found:?}");
    }
    for tool in found.tools.iter().filter_map(|kind| hosted_tool(kind)) {
        let mut others = HostedTools::default();
        others.remove(tool);
        let refused = call.disallowed_tool(others);
        assert!(
            !matches!(refused, Ok(None)),
            "{body}: {}",
            HostedTool::as_str(tool)
        );
    }
    for file in &found.files {
        assert!(call.object_refs.files.contains(file), "{body}: {file}");
    }
    assert!(!found.stored || call.is_stored(), "{body}");
}

#[test]
fn s5_the_laxest_reader_finds_nothing_that_was_not_checked() {
    let requests = std::env::var("ORGPLANE_TEST_FUZZ_REQUESTS").ok();
    let requests = requests.and_then(|requests| requests.parse().ok());
    let requests = requests.unwrap_or(DEFAULT_REQUESTS);
    let mut python = Python::start();
    let config = Config::default();
    let random = TestRng::deterministic_rng(config.rng_algorithm);
    let mut runner = TestRunner::new_with_rng(config, random);
    let bodies = members(values());
    let mut accepted = 0;
    for _ in 0..requests {
        let more = bodies.new_tree(&mut runner).expect("a body").current();
        let comma = if more.is_empty() { "" } else { "," };
        let body = format!("{{\"model\":\"real\"{comma}{more}}}");
        for path in ["/chat/completions", "/responses"] {
            let dialect = Dialect::at(path).expect("an endpoint");
            let bytes = Bytes::copy_from_slice(body.as_bytes());
            if let Ok(call) = Call::parse(dialect, &HeaderMap::new(), bytes) {
                accepted += 1;
                compare(&call, &python.read(&body), &body);
            }
        }
    }
    python.end();
    assert!(accepted > requests / 5, "{accepted} of {requests}");
}
