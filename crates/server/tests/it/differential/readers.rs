//! The parsers of others, in processes of their own: `tests/readers`.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::model_server::prepared;
use crate::model_stub::Received;

/// The number of requests that are written before their findings are read: so few that no pipe is ever full of findings.
const BATCH_LEN: usize = 50;

/// Killed when dropped.
pub(super) struct Readers(Child);

/// A request that was forwarded, and what its project may not do.
pub(super) struct Forwarded {
    pub(super) kind: &'static str,
    pub(super) received: Received,
    pub(super) policy: Value,
    /// The number of the request among those generated, and the bytes that the gateway was sent.
    pub(super) number: u64,
    pub(super) sent: Vec<u8>,
}

impl Readers {
    pub(super) fn start() -> Self {
        let mut command = Command::new(prepared("ORGPLANE_TEST_READERS"));
        command
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        Self(command.spawn().expect("the readers start"))
    }

    /// Returns the findings of each request, in their order.
    pub(super) fn findings(&mut self, requests: &[Forwarded]) -> Vec<Vec<String>> {
        let mut output = BufReader::new(self.0.stdout.as_mut().expect("a pipe"));
        let input = self.0.stdin.as_mut().expect("a pipe");
        let mut findings = Vec::with_capacity(requests.len());
        for batch in requests.chunks(BATCH_LEN) {
            std::thread::scope(|scope| {
                let writer = scope.spawn(|| {
                    for request in batch {
                        let line = request.line();
                        writeln!(input, "{line}").expect("the readers run");
                    }
                    input.flush().expect("the readers run");
                });
                for _ in batch {
                    let mut line = String::new();
                    output.read_line(&mut line).expect("the readers answer");
                    findings.push(serde_json::from_str(&line).expect("a list of findings"));
                }
                writer.join().expect("all is written");
            });
        }
        findings
    }
}

impl Forwarded {
    fn line(&self) -> Value {
        let Received {
            target,
            headers,
            body,
            ..
        } = &self.received;
        let content_type = headers
            .get("content-type")
            .map_or(&b""[..], |value| value.as_bytes());
        let content_type: String = content_type.iter().copied().map(char::from).collect();
        json!({
            "kind": self.kind, "target": target, "content_type": content_type, "body": BASE64_STANDARD.encode(body),
            "policy": self.policy,
        })
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
