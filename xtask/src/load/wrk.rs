//! The load generator: one thread of `wrk` that sends a request over and over, and what it found.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::bench::{Bench, confined};
use crate::step::output;

/// A request that wrk sends.
pub struct Request<'a> {
    /// `GET` or `POST`.
    pub method: &'a str,
    /// The path and the query.
    pub path: &'a str,
    /// Ends of the path, in turn; the path alone if there are none.
    pub endings: &'a [String],
    /// The key that is sent along.
    pub key: &'a str,
    /// Further headers and their values.
    pub headers: &'a [(&'a str, String)],
    /// JSON, or nothing.
    pub body: &'a str,
}

/// Figures of one run of wrk.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// Number of requests that were answered, each with a status of 2xx or 3xx.
    pub requests: u64,
    /// Number of requests that were answered in a second.
    pub rate: f64,
    /// The median latency in microseconds.
    pub p50: f64,
    /// The latency in microseconds that 99 % of the requests did not exceed.
    pub p99: f64,
}

/// Makes `wrk` print what [`parse`] reads.
const DONE: &str = r#"
function done(summary, latency, requests)
    local errors = summary.errors
    local failed = errors.connect + errors.read + errors.write + errors.timeout
    io.write(string.format("figures requests=%d microseconds=%d p50=%d p99=%d failed=%d refused=%d\n",
        summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), failed, errors.status))
end
"#;

impl Request<'_> {
    /// Sends it to `host:port` for so many seconds over so many connections.
    pub fn drive(
        &self,
        bench: &Bench,
        address: &str,
        connections: u64,
        seconds: u64,
    ) -> Result<Figures> {
        let script = bench.folder.join("request.lua");
        fs::write(&script, self.script())?;
        let mut command = confined(&bench.wrk, bench.cores.others);
        command.arg("--threads=1").arg("--timeout=30s");
        command.arg(format!("--connections={connections}"));
        command.arg(format!("--duration={seconds}s"));
        command.arg("--script").arg(script);
        command.arg(format!("http://{address}{}", self.path));
        let text = output(&mut command)?;
        parse(&text).with_context(|| format!("{} {}\n{text}", self.method, self.path))
    }

    fn script(&self) -> String {
        let Self {
            method, key, body, ..
        } = self;
        let turns = self.turns();
        let headers = self.headers.iter();
        let headers: String = headers
            .map(|(name, value)| format!("wrk.headers[\"{name}\"] = \"{value}\"\n"))
            .collect();
        format!(
            "wrk.method = \"{method}\"\nwrk.body = [==[{body}]==]\n\
             wrk.headers[\"Authorization\"] = \"Bearer {key}\"\n\
             wrk.headers[\"Content-Type\"] = \"application/json\"\n{headers}{turns}{DONE}"
        )
    }

    /// Makes `wrk` go through the endings; the requests are made before the time runs.
    fn turns(&self) -> String {
        if self.endings.is_empty() {
            return String::new();
        }
        let quoted: Vec<_> = self.endings.iter().map(|one| format!("{one:?}")).collect();
        format!(
            "local endings, requests, turn = {{ {} }}, {{}}, 0\n\
             function init()\n    for place, ending in ipairs(endings) do\n        \
             requests[place] = wrk.format(nil, \"{}\" .. ending)\n    end\nend\n\
             function request()\n    turn = turn % #requests + 1\n    return requests[turn]\nend\n",
            quoted.join(", "),
            self.path
        )
    }
}

/// Reads the line that the script prints. A measurement with a request that went wrong is none.
fn parse(text: &str) -> Result<Figures> {
    let line = text.lines().find_map(|line| line.strip_prefix("figures "));
    let line = line.context("wrk printed no figures")?;
    let value = |name: &str| -> Result<f64> {
        let mut words = line.split(' ').filter_map(|word| word.split_once('='));
        let (_, value) = words
            .find(|(word, _)| *word == name)
            .with_context(|| format!("no {name} among wrk's figures"))?;
        Ok(value.parse()?)
    };
    let (failed, refused) = (value("failed")?, value("refused")?);
    if failed + refused > 0.0 {
        bail!("{failed} requests failed and {refused} were refused");
    }
    let requests = value("requests")?;
    if requests < 1.0 {
        bail!("no request was answered");
    }
    Ok(Figures {
        requests: requests as u64,
        rate: requests / value("microseconds")? * 1e6,
        p50: value("p50")?,
        p99: value("p99")?,
    })
}

/// Returns the version of `wrk`.
pub fn version(wrk: &Path) -> String {
    // It prints its usage and fails, whatever it is asked.
    let ended = std::process::Command::new(wrk).arg("--version").output();
    let text = ended.map(|ended| [ended.stdout, ended.stderr].concat());
    let text = String::from_utf8_lossy(&text.unwrap_or_default()).into_owned();
    let words: Vec<&str> = text.split_whitespace().take(2).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Running 2s test @ http://127.0.0.1:1/\n  1 threads and 32 connections\n\
        Requests/sec:  40000.00\nfigures requests=80000 microseconds=2000000 p50=700 p99=1500";

    #[test]
    fn figures_are_found_among_the_words() {
        let found = parse(&format!("{TEXT} failed=0 refused=0\n")).unwrap();
        let expected = Figures {
            requests: 80_000,
            rate: 40_000.0,
            p50: 700.0,
            p99: 1_500.0,
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn a_failed_request_fails_the_measurement() {
        for end in ["failed=1 refused=0", "failed=0 refused=3", "failed=0", ""] {
            assert!(parse(&format!("{TEXT} {end}")).is_err(), "{end}");
        }
        assert!(parse("Requests/sec: 1").is_err());
        assert!(parse("figures requests=0 microseconds=9 p50=0 p99=0 failed=0 refused=0").is_err());
    }

    #[test]
    fn the_script_has_the_request() {
        let request = Request {
            method: "POST",
            path: "/x?after=",
            endings: &["a".to_owned(), "b".to_owned()],
            key: "sk-1",
            headers: &[],
            body: r#"{"a": "]]"}"#,
        };
        let script = request.script();
        assert!(script.contains(r#"{ "a", "b" }"#) && script.contains(r#""/x?after=" .. ending)"#));
        assert!(script.contains(r#"wrk.body = [==[{"a": "]]"}]==]"#));
        assert!(script.contains("Bearer sk-1") && script.contains("function done"));
    }
}
