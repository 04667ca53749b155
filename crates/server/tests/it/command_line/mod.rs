//! The words of the Administration API, said to the built binary, against a server whose answers are written down.

mod bodies;
mod completion;
mod every_command;
mod examples;
mod mutual_tls;
mod refusals;
mod retries;
mod watched;

use crate::process::Ended;
use watched::Watched;

#[tokio::test(flavor = "multi_thread")]
async fn lists_follow_their_pages() {
    let server = Watched::start().await;
    for number in 1..=4 {
        let name = format!("Project {number}");
        server.done(&["projects", "create", "--name", &name]);
    }
    let names = |ended: &Ended| -> Vec<String> {
        let items = ended.stdout.lines().map(|line| serde_json::from_str(line));
        let items = items.map(|item: Result<serde_json::Value, _>| item.expect("an item is JSON"));
        items
            .map(|item| item["name"].as_str().expect("a name").to_owned())
            .collect()
    };
    let all = [
        "Default project",
        "Project 1",
        "Project 2",
        "Project 3",
        "Project 4",
    ];
    let list = |words: &[&str]| {
        let words = [&["projects", "list", "--format", "jsonl"], words].concat();
        let before = server.calls().len();
        let ended = server.done(&words);
        let asked: Vec<_> = server
            .calls()
            .split_off(before)
            .into_iter()
            .map(|call| call.address)
            .collect();
        (names(&ended), asked)
    };
    let (found, asked) = list(&["--limit", "2"]);
    assert_eq!(found, all);
    assert_eq!(asked.len(), 3, "{asked:?}");
    assert!(
        asked.iter().all(|address| address.contains("limit=2")),
        "{asked:?}"
    );
    for (most, pages, items) in [
        ("3", 2, &all[..3]),
        ("2", 1, &all[..2]),
        ("0", 1, &[]),
        ("-1", 3, &all),
    ] {
        let (found, asked) = list(&["--limit", "2", "--max-items", most]);
        assert_eq!(
            (found, asked.len()),
            (items.iter().map(|name| (*name).to_owned()).collect(), pages),
            "{most}"
        );
    }

    let raw = server.done(&[
        "projects",
        "list",
        "--limit",
        "2",
        "--format",
        "raw",
        "--max-items",
        "1",
    ]);
    let page: serde_json::Value = serde_json::from_str(&raw.stdout).expect("a page is JSON");
    assert_eq!(
        (page["data"].as_array().map(Vec::len), &page["has_more"]),
        (Some(2), &true.into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_that_name_their_next_page_and_lists_that_run_backwards_are_followed() {
    let server = Watched::start().await;
    let group = |number: i32| {
        server.done(&[
            "groups",
            "create",
            "--name",
            &format!("Group {number}"),
            "--format",
            "raw",
        ])
    };
    let groups: Vec<String> = (1..=3).map(|number| group(number).id()).collect();
    let ids = |words: &[&str]| -> Vec<String> {
        let ended = server.done(&[words, &["--format", "jsonl"]].concat());
        ended.stdout.lines().map(watched::id).collect()
    };
    assert_eq!(ids(&["groups", "list", "--limit", "1"]), groups);

    for name in ["a", "b", "c", "d"] {
        server.done(&["projects", "create", "--name", name]);
    }
    let projects = ids(&[
        "projects:rate-limits",
        "list-rate-limits",
        &server.default_project(),
        "--limit",
        "40",
    ]);
    let (last, before) = projects.split_last().expect("there are rate limits");
    let mut backwards = ids(&[
        "projects:rate-limits",
        "list-rate-limits",
        &server.default_project(),
        "--limit",
        "40",
        "--before",
        last,
    ]);
    let mut before = before.to_vec();
    assert_eq!(backwards.len(), before.len());
    backwards.sort_unstable();
    before.sort_unstable();
    assert_eq!(
        backwards, before,
        "every item before the last one, and each once"
    );
}
