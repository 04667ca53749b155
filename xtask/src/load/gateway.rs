//! Cost of the gateway: requests in a second, added latency, CPU time and memory, with everything on.

use anyhow::Result;
use serde_json::json;

use super::bench::Bench;
use super::compare::{Compared, ModelRequest, Setting};
use super::figures::{hundredths, milliseconds, whole};
use super::goal::{Goal, Section};
use super::server::{MODEL, STREAMING_MODEL};

/// Measures answers in one piece, then streams, each over 32 connections and over one.
pub fn measure(bench: &Bench) -> Result<Section> {
    let setting = Setting::start(bench)?;
    let question = ModelRequest {
        name: "completions",
        direct: "/v1/chat/completions",
        body: &body(MODEL, false),
        is_stream: false,
    };
    let [many, one] = setting.compare(bench, &question, [32, 1])?;
    let question = ModelRequest {
        name: "streamed completions",
        direct: "/stream/v1/chat/completions",
        body: &body(STREAMING_MODEL, true),
        is_stream: true,
    };
    let [many_streams, one_stream] = setting.compare(bench, &question, [32, 1])?;
    let metered = setting.gateway.metered(&mut setting.gateway.admin()?)?;
    let memory = setting.gateway.process.peak_memory()?;
    let goals = vec![
        Goal::at_least("gateway: requests/s × nginx", 0.7, many.ratio(), hundredths),
        Goal::at_most("gateway: CPU µs/request", 30.0, many.cpu(), whole),
        Goal::at_most(
            "gateway: p99 beyond nginx's, one connection, ms",
            250.0,
            one.tail(),
            milliseconds,
        ),
        Goal::at_most(
            "gateway: added to a stream, one connection, p50 ms",
            300.0,
            one_stream.added(),
            milliseconds,
        ),
    ];
    let text = [
        "### Gateway\n\nCompletions in one piece, 32 connections:\n\n",
        &many.rates(),
        "\nOne connection:\n\n",
        &one.latencies(),
        "\nStreamed completions, 32 connections:\n\n",
        &many_streams.rates(),
        "\nStreamed completions, one connection, to the last byte:\n\n",
        &one_stream.latencies(),
        &format!(
            "\nLedger: {} rows, one for each answered request, checked after every single measurement. Peak resident \
             memory of orgplane: {memory:.0} MB.\n",
            whole(metered.requests as f64)
        ),
    ]
    .concat();
    Ok(Section {
        text: text + &database(bench, &many, &many_streams),
        goals,
        ..Section::default()
    })
}

/// Returns a sentence about the CPU time of the database system, if that has processes of its own.
fn database(bench: &Bench, many: &Compared, streams: &Compared) -> String {
    if bench.engine.is_sqlite() {
        return String::new();
    }
    format!(
        "\nPostgreSQL, on any core, takes {:.1} µs of CPU time more for each completion over 32 connections, {:.1} for \
         each stream.\n",
        many.database_cpu(),
        streams.database_cpu()
    )
}

/// Returns a request of some 500 bytes.
pub fn body(model: &str, stream: bool) -> String {
    let system = "You explain how usage of language models is metered and billed. Answer in three sentences, in plain \
                  words, for somebody who keeps the books of a company and has never seen a token.";
    let user = "Our invoice says that we used more tokens than our own applications have counted. Where can such a \
                difference come from, and which of the two counts is to be believed?";
    let messages =
        json!([{ "role": "system", "content": system }, { "role": "user", "content": user }]);
    let mut body = json!({ "model": model, "messages": messages, "temperature": 0.2 });
    if stream {
        body["stream"] = json!(true);
        body["stream_options"] = json!({ "include_usage": true });
    }
    body.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_a_realistic_size() {
        for stream in [false, true] {
            assert!((450..650).contains(&body(MODEL, stream).len()));
        }
    }
}
