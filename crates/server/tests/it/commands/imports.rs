//! `orgplane usage import`: files of every format, in whole or after a kill.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::api::Api;
use crate::client_script::python;
use crate::installation::{Installation, Server};
use crate::process::{Ended, Process};
use crate::reports::{self, Sums};

/// An installation with a running server, its key and its project.
pub(super) async fn serving() -> (Installation, Server, Api, String) {
    let installation = Installation::new("");
    let (server, admin) = installation.first_serve();
    let projects = admin.get("/organization/projects").await;
    let project = projects["data"][0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    (installation, server, admin, project)
}

pub(super) fn event(project: &str, id: &str, number: i64) -> Value {
    json!({
        "id": id, "timestamp": reports::now() - number % 3_600, "type": "completions", "project_id": project,
        "model": "gpt-5", "input_tokens": 100 + number, "output_tokens": number,
    })
}

/// Returns the usage of `count` events whose numbers start at 0.
pub(super) fn sums(count: i64) -> Sums {
    let numbers = count * (count - 1) / 2;
    Sums {
        requests: count,
        input: 100 * count + numbers,
        cached: 0,
        output: numbers,
    }
}

pub(super) fn write(installation: &Installation, name: &str, text: &str) -> PathBuf {
    let file = installation.directory().join(name);
    fs::write(&file, text).expect("a file in our directory");
    file
}

/// A file of so many events.
fn ndjson(installation: &Installation, name: &str, project: &str, count: i64) -> PathBuf {
    let lines = (0..count).map(|number| event(project, &format!("{name}-{number}"), number));
    let lines: String = lines.map(|event| format!("{event}\n")).collect();
    write(installation, name, &lines)
}

/// Imports with these words. What it says is without the log, in which PostgreSQL has its say too.
pub(super) fn import(installation: &Installation, words: &[&str]) -> Ended {
    let mut ended = installation.run(&[&["usage", "import"], words].concat());
    let said = ended.stderr.split_inclusive('\n');
    ended.stderr = said.filter(|line| !line.starts_with('{')).collect();
    ended
}

#[tokio::test]
async fn a_file_is_imported_beside_a_running_server_and_counts_once() {
    let (installation, server, admin, project) = serving().await;
    ndjson(&installation, "a.ndjson", &project, 3_000);
    for (new, known) in [(3_000, 0), (0, 3_000)] {
        let ended = import(&installation, &["a.ndjson"]);
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(0), ""),
            "{ended:?}"
        );
        let said = format!("{new} new events, {known} known, 0 refused\n");
        assert!(
            ended.stderr.starts_with("3000 rows in ") && ended.stderr.ends_with(&said),
            "{ended:?}"
        );
        assert_eq!(
            ended.stderr.lines().count(),
            1,
            "there is no terminal to show more to"
        );
        assert_eq!(reports::usage(&admin).await, sums(3_000));
        assert_eq!(
            reports::cost(&admin).await,
            sums(3_000).cost([1_250, 125, 10_000])
        );
    }
    assert!(!installation.directory().join("a.ndjson.import").exists());
    // The server has not been kept from writing, nor from knowing what was written.
    let again = [event(&project, "a.ndjson-0", 0), event(&project, "b", 0)];
    let answer = admin
        .post("/organization/usage/events", &json!(again))
        .await;
    assert_eq!(
        (&answer["accepted"], &answer["duplicates"]),
        (&json!(1), &json!(1))
    );
    server.stop();
}

#[tokio::test]
async fn what_is_imported_counts_against_limits_of_a_running_server() {
    let (installation, server, admin, project) = serving().await;
    let limit = json!({"threshold_amount": 100, "currency": "USD", "interval": "month"});
    admin.post("/organization/spend_limit", &limit).await;
    let mut event = event(&project, "dear", 0);
    event["input_tokens"] = json!(10_000_000);
    event["timestamp"] = json!(reports::now());
    write(&installation, "dear.ndjson", &event.to_string());
    assert_eq!(import(&installation, &["dear.ndjson"]).code, Some(0));
    let (_, key) = admin.application("Spender").await;
    let spender = server.api(&key);
    poll::until("requests are refused", async || {
        spender.has_spent_all().await
    })
    .await;
    server.stop();
}

#[tokio::test]
async fn refused_rows_are_named_and_the_rest_is_taken() {
    let (installation, server, admin, project) = serving().await;
    let mut lines: Vec<String> = (0..30)
        .map(|number| event("proj_stranger", &format!("refused-{number}"), 0).to_string())
        .collect();
    lines.insert(3, event(&project, "good", 0).to_string());
    let mut orders = event(&project, "orders", 0);
    orders["\u{1b}[2J"] = json!(1);
    lines.insert(4, orders.to_string());
    lines.push(String::new());
    let mut negative = event(&project, "negative", 0);
    negative["input_tokens"] = json!(-1);
    lines.push(negative.to_string());
    write(&installation, "a.jsonl", &lines.join("\n"));
    let ended = import(&installation, &["a.jsonl", "--rejected", "rejected.ndjson"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let named: Vec<&str> = ended.stderr.lines().collect();
    let stranger = "project_id: no project with id 'proj_stranger' is in the organization";
    assert_eq!(named[0], format!("line 1 (refused-0): {stranger}"));
    let no_orders = "line 5 (orders): unknown field `\\u{1b}[2J`, expected one of ";
    assert!(named[3].starts_with(no_orders), "{}", named[3]);
    assert_eq!(
        named[20],
        "more were refused; --rejected FILE writes down all of them"
    );
    assert!(
        named[21].starts_with("33 rows in ")
            && named[21].ends_with(": 1 new events, 0 known, 32 refused"),
        "{ended:?}"
    );
    assert_eq!(named[22..], ["orgplane: a.jsonl: 32 rows were refused"]);
    let rejected = fs::read_to_string(installation.directory().join("rejected.ndjson"));
    let rejected: Vec<Value> = rejected
        .expect("the file")
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(rejected.len(), 32);
    assert_eq!(
        rejected[0],
        json!({"line": 1, "id": "refused-0", "error": stranger})
    );
    let last = json!({"line": 34, "id": "negative", "error": "input_tokens must not be negative"});
    assert_eq!(rejected[31], last);
    assert_eq!(reports::usage(&admin).await.requests, 1);

    let ended = import(&installation, &["a.jsonl", "--rejected", "./a.jsonl"]);
    assert!(
        ended.code == Some(1) && ended.stderr.contains("the file that is imported"),
        "{ended:?}"
    );
    server.stop();
}

#[tokio::test]
async fn csv_comes_from_a_file_or_from_stdin() {
    let (installation, server, admin, project) = serving().await;
    let now = reports::now();
    let row = |number: i64| {
        let (time, input) = (now - number, 100 + number);
        format!("csv-{number},{time},completions,{project},\"gpt-5\",{input},{number},,{number}\n")
    };
    let header =
        "id,timestamp,type,project_id,model,input_tokens,output_tokens,batch,input_cached_tokens\n";
    let rows: String = (0..500).map(row).collect();
    let file = write(&installation, "a.csv", &format!("{header}{rows}"));
    assert_eq!(import(&installation, &["a.csv"]).code, Some(0));
    let mut expected = sums(500);
    expected.cached = 499 * 500 / 2;
    assert_eq!(reports::usage(&admin).await, expected);

    let mut command = installation.command(&["usage", "import", "--format", "csv", "-"]);
    let piped = command
        .stdin(fs::File::open(file).expect("the file"))
        .output();
    let piped = piped.expect("it has run");
    let said = String::from_utf8_lossy(&piped.stderr);
    assert!(
        piped.status.success() && said.ends_with("0 new events, 500 known, 0 refused\n"),
        "{said}"
    );
    server.stop();
}

#[tokio::test]
async fn parquet_of_another_library_is_imported() {
    let (installation, server, admin, project) = serving().await;
    let folder = installation.directory().to_str().expect("a path");
    let written = python(&["frames.py", folder, &project])
        .output()
        .expect("Python runs");
    assert!(written.status.success(), "{written:?}");
    let mut expected = Sums::default();
    for name in ["snappy", "zstd", "gzip", "none"] {
        let ended = import(&installation, &[&format!("{name}.parquet")]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(
            ended
                .stderr
                .ends_with(": 2500 new events, 0 known, 0 refused\n"),
            "{ended:?}"
        );
        expected += Sums {
            cached: 12_500,
            ..sums(2_500)
        };
        assert_eq!(reports::usage(&admin).await, expected, "{name}");
    }
    server.stop();
}

#[tokio::test]
async fn after_a_kill_the_same_command_does_the_rest() {
    const ROW_COUNT: i64 = 60_000;
    let (installation, server, admin, project) = serving().await;
    let file = ndjson(&installation, "a.ndjson", &project, ROW_COUNT);
    let mut text = fs::read_to_string(&file).expect("the file");
    text.insert_str(0, "{}\n");
    fs::write(&file, text).expect("written");
    let bookmark = kill_in_the_middle(&installation, &file);
    let before = reports::usage(&admin).await.requests;
    assert!((1..ROW_COUNT).contains(&before), "{before}");
    let known = i64::try_from(place(&bookmark)).expect("rows");
    assert!((1..=before).contains(&known), "{known} of {before}");

    let ended = import(&installation, &["a.ndjson"]);
    assert_eq!(
        ended.code,
        Some(1),
        "what the first run refused is not forgotten: {ended:?}"
    );
    let said = format!("; an earlier run took the {known} rows before them, and refused 1\n");
    assert!(ended.stderr.contains(&said), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains(&format!("{} rows in ", ROW_COUNT + 1 - known)),
        "{ended:?}"
    );
    assert!(
        ended
            .stderr
            .ends_with("orgplane: a.ndjson: 1 row was refused\n"),
        "{ended:?}"
    );
    assert_eq!(reports::usage(&admin).await, sums(ROW_COUNT));
    assert!(!bookmark.exists(), "it is done");
    server.stop();
}

#[tokio::test]
async fn a_bookmark_that_the_ledger_does_not_bear_out_is_not_believed() {
    const ROW_COUNT: i64 = 60_000;
    let (installation, server, admin, project) = serving().await;
    let file = ndjson(&installation, "a.ndjson", &project, ROW_COUNT);
    let bookmark = kill_in_the_middle(&installation, &file);
    let mut content: Value =
        serde_json::from_slice(&fs::read(&bookmark).expect("it is there")).expect("JSON");
    // As if the database had been brought back from a backup.
    content["rows"] = json!(ROW_COUNT - 10);
    fs::write(&bookmark, content.to_string()).expect("written");
    let ended = import(&installation, &["a.ndjson"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended.stderr.starts_with(&format!("{ROW_COUNT} rows in "))
            && !ended.stderr.contains("earlier"),
        "{ended:?}"
    );
    assert_eq!(reports::usage(&admin).await, sums(ROW_COUNT));
    server.stop();
}

/// Imports a file and kills the import when it has put its bookmark somewhere behind the first row.
fn kill_in_the_middle(installation: &Installation, file: &Path) -> PathBuf {
    let name = file.to_str().expect("a path");
    let bookmark = PathBuf::from(format!("{name}.import"));
    let importing = Process::start(installation.command(&["usage", "import", name]));
    poll::until_blocking("the bookmark is written", || {
        bookmark.exists() && place(&bookmark) > 0
    });
    importing.kill();
    bookmark
}

fn place(bookmark: &Path) -> u64 {
    let content: Value =
        serde_json::from_slice(&fs::read(bookmark).expect("it is there")).expect("JSON");
    content["rows"].as_u64().expect("a number")
}

#[tokio::test]
async fn what_cannot_be_imported_is_said() {
    let (installation, server, _, project) = serving().await;
    write(&installation, "a.txt", "");
    write(&installation, "a.csv", "id,surprise\n");
    write(&installation, "a.parquet", "not Parquet");
    ndjson(&installation, "a.ndjson", &project, 1);
    let cases: [(&[&str], &str); 6] = [
        (&["absent.ndjson"], "absent.ndjson: No such file"),
        (&["a.txt"], "say --format ndjson, csv or parquet"),
        (
            &["a.csv"],
            "the column \"surprise\" is none of an event's fields",
        ),
        (&["a.parquet"], "a.parquet: Parquet error"),
        (
            &["a.ndjson", "--organization", "org-nobody"],
            "no organization with id 'org-nobody'",
        ),
        (&["-", "--format", "parquet"], "has to be in a file"),
    ];
    for (words, reason) in cases {
        let ended = import(&installation, words);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains(reason), "{ended:?}");
    }
    let words = [
        "org",
        "create",
        "--name",
        "Second",
        "--owner-email",
        "b@b.example",
    ];
    assert_eq!(installation.run(&words).code, Some(0));
    let ended = import(&installation, &["a.ndjson"]);
    assert!(
        ended
            .stderr
            .contains("there are several organizations: say --organization"),
        "{ended:?}"
    );
    server.stop();
}
