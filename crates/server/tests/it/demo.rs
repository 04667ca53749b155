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
    let admin_key = demo.line("  Admin key    ").expect("an admin key");
    let admin_key = admin_key.as_str();
    assert!(admin_key.starts_with("sk-admin-"));
    assert!(demo.line("  Project key  sk-svcacct-").is_some());
    let commands = commands(&demo.stdout());
    let [call, usage, log] = &commands[..] else {
        panic!("three commands, not {commands:?}")
    };
    assert!(commands.iter().all(|command| command.contains(&address)));

    let before = by_model(&typed(usage));
    let models: Vec<&str> = before.iter().map(|(model, ..)| model.as_str()).collect();
    assert_eq!(models, ["gpt-5.4-mini", "gpt-5.6-terra"]);
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
    expected[0].1 += 1;
    expected[0].2 += tokens;
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
        (5, Some(&"invite.sent".into())),
        "{log}"
    );

    the_ledger_and_the_log_are_proved(&installation, &address, admin_key);
    demo.terminate();
    let ended = demo.ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let left = std::fs::read_dir(installation.directory())
        .expect("our directory")
        .count();
    assert_eq!(left, 1, "nothing is left of it beside our own file");
}

/// Verifies the database of the demo while it runs, and compares the costs of the year with the rows of the ledger.
fn the_ledger_and_the_log_are_proved(installation: &Installation, address: &str, admin_key: &str) {
    let entries = std::fs::read_dir(installation.directory()).expect("our directory");
    let files = entries.map(|entry| entry.expect("an entry").path().join("demo.db"));
    let file = files
        .into_iter()
        .find(|file| file.exists())
        .expect("the database");
    let url = format!("sqlite://{}", file.display());
    for words in [["usage", "verify"], ["audit", "verify"]] {
        let ended = installation.run(&[&words[..], &["--database", &url]].concat());
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
    let get = |path: &str| {
        typed(&format!(
            "curl -sg '{address}/v1/organization/{path}' -H 'Authorization: Bearer {admin_key}'"
        ))
    };
    let start = crate::reports::now() - 366 * 86_400;
    let mut reported = 0.0;
    let mut page = String::new();
    loop {
        let costs = get(&format!("costs?start_time={start}&limit=180{page}"));
        let buckets = costs["data"].as_array().expect("buckets").iter();
        let results = buckets.flat_map(|bucket| bucket["results"].as_array().expect("results"));
        reported += results
            .map(|row| row["amount"]["value"].as_f64().expect("a number"))
            .sum::<f64>();
        match costs["next_page"].as_str() {
            Some(next) => page = format!("&page={next}"),
            None => break,
        }
    }
    let exported = installation.run(&["usage", "export", "--database", &url]);
    let rows = exported
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON")["amount"].clone());
    let amount = |value: Value| match value {
        Value::String(text) => text.parse::<f64>().expect("an amount"),
        value => value.as_f64().unwrap_or(0.0),
    };
    let amounts: Vec<f64> = rows.map(amount).collect();
    let in_ledger: f64 = amounts.iter().sum();
    assert!(
        amounts.len() > 30_000 && reported > 10_000.0,
        "{} rows, {reported}",
        amounts.len()
    );
    assert!(
        (reported - in_ledger).abs() < 0.01,
        "{reported} reported, {in_ledger} in the ledger"
    );
}

/// The organization has what its screens show: people, groups, projects, keys that end soon, refusals.
#[test]
fn the_demo_has_a_year_of_an_organization() {
    let installation = Installation::new("");
    let demo = start(&installation, "127.0.0.1:0");
    let address = demo.line(GREETING).expect("it says where it is");
    let key = demo.line("  Admin key    ").expect("an admin key");
    let list = |path: &str| {
        let url = format!("{address}/v1/{path}");
        let answer = typed(&format!(
            "curl -sg '{url}' -H 'Authorization: Bearer {key}'"
        ));
        answer["data"]
            .as_array()
            .unwrap_or_else(|| panic!("{answer}"))
            .clone()
    };
    let projects = list("organization/projects?limit=100&include_archived=true");
    assert_eq!(projects.len(), 13, "with the default project");
    assert_eq!(
        list("organization/users?limit=100").len(),
        37,
        "three of forty have left"
    );
    assert_eq!(list("organization/groups?limit=100").len(), 6);
    let invites = list("organization/invites?limit=100");
    let count = |status: &str| {
        invites
            .iter()
            .filter(|invite| invite["status"] == status)
            .count()
    };
    assert_eq!((count("pending"), count("expired")), (2, 1), "{invites:?}");

    let now = crate::reports::now();
    let logs = list("organization/audit_logs?limit=100");
    assert_eq!(logs.len(), 100);
    let of_last_year = format!(
        "organization/audit_logs?limit=100&effective_at[lt]={}",
        now - 330 * 86_400
    );
    assert!(list(&of_last_year).len() > 50);
    let metrics = Command::new("curl")
        .args(["-s", &format!("{address}/metrics")])
        .output();
    let metrics = String::from_utf8(metrics.expect("curl").stdout).expect("text");
    for code in [
        "insufficient_quota",
        "model_not_found",
        "rate_limit_exceeded",
    ] {
        let refusals = format!("orgplane_refusals_total{{code=\"{code}\"}}");
        assert!(metrics.contains(&refusals), "{code}: {metrics}");
    }
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
