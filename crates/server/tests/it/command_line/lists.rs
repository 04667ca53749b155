//! Lists show the items of all their pages.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::response::IntoResponse;
use http::{StatusCode, Uri};
use serde_json::Value;

use super::recording_server::{RecordingServer, id};
use crate::installation::Installation;
use crate::process::{Ended, Process};

const ALL: [&str; 5] = [
    "Default project",
    "Project 1",
    "Project 2",
    "Project 3",
    "Project 4",
];

/// The names of all items that were shown.
fn names(ended: &Ended) -> Vec<String> {
    let item = |line| serde_json::from_str::<Value>(line).expect("an item is JSON");
    let name = |item: Value| item["name"].as_str().expect("a name").to_owned();
    ended.stdout.lines().map(item).map(name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_follow_their_pages() {
    let server = RecordingServer::start().await;
    for name in &ALL[1..] {
        server.done(&["projects", "create", "--name", name]);
    }
    for (most, pages, items) in [
        (None, 3, &ALL[..]),
        (Some("-1"), 3, &ALL),
        (Some("3"), 2, &ALL[..3]),
        (Some("2"), 1, &ALL[..2]),
        (Some("0"), 1, &[]),
    ] {
        let mut words = vec!["projects", "list", "--format", "jsonl", "--limit", "2"];
        words.extend(most.iter().flat_map(|most| ["--max-items", most]));
        let before = server.calls().len();
        let ended = server.done(&words);
        assert_eq!(names(&ended), items, "{most:?}");
        let calls = server.calls().split_off(before);
        assert_eq!(calls.len(), pages, "{most:?}: {calls:?}");
        assert!(
            calls.iter().all(|call| call.address.contains("limit=2")),
            "{calls:?}"
        );
    }
    let words = [
        "projects",
        "list",
        "--limit",
        "2",
        "--format",
        "raw",
        "--max-items",
        "1",
    ];
    let page: Value = serde_json::from_str(&server.done(&words).stdout).expect("a page is JSON");
    assert_eq!(
        page["data"].as_array().map(Vec::len),
        Some(2),
        "the page as it came"
    );
    assert_eq!(page["has_more"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_after_null_begins_at_the_beginning() {
    let server = RecordingServer::start().await;
    for name in &ALL[1..] {
        server.done(&["projects", "create", "--name", name]);
    }
    for cursor in [&["--after", "null"][..], &["--after="], &["--after=null"]] {
        let words = ["projects", "list", "--format", "jsonl", "--limit", "2"];
        let ended = server.done(&[&words[..], cursor].concat());
        assert_eq!(names(&ended), ALL, "{cursor:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_that_name_their_next_page_are_followed() {
    let server = RecordingServer::start().await;
    let group =
        |number: i32| server.done(&["groups", "create", "--name", &format!("Group {number}")]);
    let groups: Vec<String> = (1..=3).map(|number| group(number).id()).collect();
    let listed = server.done(&["groups", "list", "--limit", "1", "--format", "jsonl"]);
    assert_eq!(listed.stdout.lines().map(id).collect::<Vec<_>>(), groups);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_before_an_item_run_backwards() {
    let server = RecordingServer::start().await;
    let project = server.default_project();
    let list = |more: &[&str]| -> Vec<String> {
        let words = [
            "projects:rate-limits",
            "list-rate-limits",
            &project,
            "--format",
            "jsonl",
            "--limit",
            "5",
        ];
        let ended = server.done(&[&words[..], more].concat());
        ended.stdout.lines().map(id).collect()
    };
    let mut all = list(&[]);
    let last = all.pop().expect("there are rate limits");
    let mut before = list(&["--before", &last]);
    assert!(before.len() > 10, "there are several pages");
    assert_eq!(
        before[4],
        all[all.len() - 1],
        "the nearest page comes first"
    );
    before.sort_unstable();
    all.sort_unstable();
    assert_eq!(before, all, "every item before the last one, and each once");
}

/// Answers with two items, of more that cannot be had.
async fn answer(address: Uri) -> axum::response::Response {
    match address.query() {
        None => {
            "{\"data\":[{\"id\":1},{\"id\":2}],\"has_more\":true,\"last_id\":\"2\"}".into_response()
        }
        Some("after=2") => {
            let gone = "{\"error\":{\"message\":\"It is gone.\",\"code\":\"gone\"}}";
            (StatusCode::NOT_FOUND, gone).into_response()
        }
        Some("limit=1") => "{\"data\":[],\"has_more\":true,\"last_id\":\"2\"}".into_response(),
        Some(_) => "{\"object\":\"no list\"}".into_response(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_break_off_or_talk_nonsense_do_no_harm() {
    let installation = Installation::new("");
    let listening = orgplane::Server::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await;
    let listening = listening.expect("a free port");
    let address = listening.address();
    let router = Router::new().fallback(answer);
    tokio::spawn(async move {
        listening
            .run(router, &orgplane::Shutdown::within(Duration::ZERO))
            .await
    });
    let list = |flags: &[&str]| {
        let words = ["admin:organization:projects", "list", "--format", "jsonl"];
        let mut command = installation.command(&[&words[..], flags].concat());
        command.env("OPENAI_BASE_URL", format!("http://{address}"));
        Process::start(command).ended()
    };
    let ended = list(&[]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stdout.starts_with("{\"id\":1}\n{\"id\":2}\n"),
        "what there was: {ended:?}"
    );
    assert!(
        ended.stderr.contains("404 Not Found\nIt is gone.\n"),
        "{ended:?}"
    );
    let ended = list(&["--limit", "1"]);
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (Some(0), ""),
        "an empty page ends it: {ended:?}"
    );
    let ended = list(&["--limit", "2"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stderr.contains("the server's answer is no list"),
        "{ended:?}"
    );
}
