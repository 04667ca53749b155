//! `orgplane demo`: what it prints can be typed as it stands.

use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::installation::Installation;
use crate::process::Process;

const GREETING: &str = "orgplane demo: a temporary organization on ";

/// Starts it on this address, and waits until it has said everything.
fn start(installation: &Installation, listen: &str) -> Process {
    let mut demo = Process::start(installation.command(&["demo", "--listen", listen]));
    demo.wait_for_line("Stop the demo with Ctrl-C.");
    demo
}

/// The commands that it printed: `curl` and the lines that continue it.
fn commands(stdout: &str) -> Vec<String> {
    let text = stdout.replace("\\\n", " ");
    let lines = text.lines().map(str::trim);
    lines
        .filter(|line| line.starts_with("curl "))
        .map(str::to_owned)
        .collect()
}

/// Types a command into a shell; what it prints is JSON.
fn typed(command: &str) -> Value {
    let done = Command::new("sh")
        .args(["-c", command])
        .env("NO_PROXY", "*")
        .output();
    let done = done.expect("a shell");
    let (said, complained) = (
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr),
    );
    assert!(done.status.success(), "{command}: {complained}");
    serde_json::from_str(&said).unwrap_or_else(|_| panic!("{command}: {said}"))
}

/// The requests and input tokens of each model.
fn by_model(report: &Value) -> Vec<(String, i64, i64)> {
    let rows = report["data"].as_array().expect("buckets").iter();
    let rows = rows.flat_map(|bucket| bucket["results"].as_array().expect("results"));
    let mut sums = std::collections::BTreeMap::new();
    for row in rows {
        let model = row["model"].as_str().expect("grouped by model").to_owned();
        let sum = sums.entry(model).or_insert((0, 0));
        sum.0 += row["num_model_requests"].as_i64().expect("a number");
        sum.1 += row["input_tokens"].as_i64().expect("a number");
    }
    sums.into_iter()
        .map(|(model, (requests, tokens))| (model, requests, tokens))
        .collect()
}

#[test]
fn the_three_printed_commands_do_what_they_say() {
    let installation = Installation::new("");
    let demo = start(&installation, "127.0.0.1:0");
    let address = demo.line(GREETING).expect("it says where it is");
    assert!(demo.line("  Admin key    sk-admin-").is_some());
    assert!(demo.line("  Project key  sk-svcacct-").is_some());
    let commands = commands(&demo.stdout());
    let [call, usage, log] = &commands[..] else {
        panic!("three commands, not {commands:?}")
    };
    assert!(commands.iter().all(|command| command.contains(&address)));

    let before = by_model(&typed(usage));
    let models: Vec<&str> = before.iter().map(|(model, ..)| model.as_str()).collect();
    assert_eq!(models, ["gpt-4o-mini", "gpt-5", "gpt-5-mini"]);
    assert!(
        before
            .iter()
            .all(|(_, requests, tokens)| *requests > 100 && *tokens > *requests)
    );

    let answer = typed(call);
    let said = answer["choices"][0]["message"]["content"].as_str();
    assert!(
        said.is_some_and(|said| said.contains("No model was asked")),
        "{answer}"
    );
    let tokens = answer["usage"]["prompt_tokens"].as_i64().expect("a number");
    let mut expected = before;
    expected[2].1 += 1;
    expected[2].2 += tokens;
    let called = Instant::now();
    while by_model(&typed(usage)) != expected && called.elapsed() < Duration::from_secs(1) {}
    assert_eq!(
        by_model(&typed(usage)),
        expected,
        "the call is in the report a moment later"
    );

    let log = typed(log);
    let events = log["data"].as_array().expect("a list");
    let first = events.first().map(|event| &event["type"]);
    assert_eq!(
        (events.len(), first),
        (5, Some(&"service_account.created".into())),
        "{log}"
    );

    demo.terminate();
    let ended = demo.ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let left = std::fs::read_dir(installation.directory())
        .expect("our directory")
        .count();
    assert_eq!(left, 1, "nothing is left of it beside our own file");
}

#[test]
fn a_busy_port_is_no_hindrance() {
    let busy = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = busy.local_addr().expect("its address");
    let demo = start(&Installation::new(""), &taken.to_string());
    let address = demo.line(GREETING).expect("it says where it is");
    assert!(address.starts_with("http://localhost:"), "{address}");
    assert_ne!(address, format!("http://localhost:{}", taken.port()));
    let health = typed(&format!("curl -s {address}/healthz"));
    assert_eq!(health["status"], "ok");
}
