//! The words that an operator types, and what comes of them.

mod bodies;
mod byte_order_mark;
mod configuration;
mod exports;
mod first_start;
mod imports;
mod ledger;
mod organizations;
mod owner_keys;
mod prices;
mod reprice;
mod secret;
mod sign_in;

use serde_json::json;

use crate::installation::Installation;
use crate::reports;

#[test]
fn no_word_brings_help() {
    let ended = Installation::new("").run(&[]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for word in [
        "Usage: orgplane",
        "serve",
        "demo",
        "migrate",
        "org",
        "config",
    ] {
        assert!(ended.stdout.contains(word), "{word}: {ended:?}");
    }
    assert!(ended.stdout.lines().count() < 30, "it is short");
}

#[test]
fn wrong_words_end_with_2_and_say_what_is_wrong() {
    let installation = Installation::new("");
    let cases: [(&[&str], &str); 11] = [
        (&["nonsense"], "nonsense"),
        (&["serve", "--nonsense"], "--nonsense"),
        (&["serve", "--listen", "nowhere"], "nowhere"),
        (&["org"], "create"),
        (&["org", "create"], "--name"),
        (
            &["org", "create", "--name", "Acme", "--owner-email", "ada"],
            "ada",
        ),
        (
            &[
                "org",
                "create",
                "--name",
                " ",
                "--owner-email",
                "a@b.example",
            ],
            "--name",
        ),
        (&["org", "key"], "--email"),
        (&["org", "key", "--email", "ada"], "ada"),
        (&["config"], "show"),
        (&["demo", "--listen", "nowhere"], "nowhere"),
    ];
    for (words, named) in cases {
        let ended = installation.run(words);
        assert_eq!(ended.code, Some(2), "{words:?}: {ended:?}");
        assert!(ended.stderr.contains(named), "{words:?}: {ended:?}");
        assert_eq!(ended.stdout, "", "{words:?}");
    }
}

#[test]
fn what_fails_ends_with_1_and_says_why() {
    let installation = Installation::new("");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = taken.local_addr().expect("its address").to_string();
    let cases: [(&[&str], &str); 4] = [
        (&["serve", "--listen", &taken], &taken),
        (
            &["migrate", "--database", "mysql://h/d"],
            "sqlite:// or postgres://",
        ),
        (
            &["migrate", "--database", "postgres://u:hidden@127.0.0.1:1/d"],
            "the database",
        ),
        (&["serve", "--config", "absent.toml"], "absent.toml"),
    ];
    for (words, named) in cases {
        let ended = installation.run(words);
        assert_eq!(ended.code, Some(1), "{words:?}: {ended:?}");
        assert!(ended.stderr.contains(named), "{words:?}: {ended:?}");
        assert!(!ended.stderr.contains("hidden"), "{words:?}: {ended:?}");
        assert_eq!(ended.stdout, "", "{words:?}");
    }
}

#[test]
fn the_version_comes_with_its_commit() {
    let ended = Installation::new("").run(&["--version"]);
    let version = concat!("orgplane ", env!("CARGO_PKG_VERSION"), " (");
    let commit = ended.stdout.strip_prefix(version);
    let commit = commit
        .and_then(|rest| rest.strip_suffix(")\n"))
        .expect(&ended.stdout);
    let is_hash = commit.len() == 12 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    assert!(is_hash || commit == "unknown commit", "{commit}");
    assert_eq!(ended.code, Some(0));
}

#[tokio::test]
async fn migrating_prepares_a_database_and_nothing_else() {
    let installation = Installation::without_tables("");
    for _ in 0..2 {
        let ended = installation.run(&["migrate"]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.stdout.contains("is up to date"), "{ended:?}");
    }
    assert!(
        !installation.secret_file().exists(),
        "there is no key to hash yet"
    );
    let (server, admin) = installation.first_serve();
    assert_eq!(admin.all("/organization/projects?").await.len(), 1);
    server.stop();
}

#[tokio::test]
async fn rebuilding_finds_the_sums_that_were_there() {
    let installation = Installation::new("");
    let (server, admin) = installation.first_serve();
    let project = admin.get("/organization/projects").await["data"][0]["id"].clone();
    let event = |number: i64| {
        json!({
            "id": format!("evt-{number}"), "timestamp": reports::now() - number * 60, "type": "completions",
            "project_id": project, "model": "gpt-5", "input_tokens": 100 + number, "output_tokens": number,
        })
    };
    let events: Vec<_> = (0..50).map(event).collect();
    admin
        .post("/organization/usage/events", &json!(events))
        .await;
    let before = (reports::usage(&admin).await, reports::cost(&admin).await);
    assert_eq!((before.0.requests, before.0.output), (50, 49 * 50 / 2));
    server.stop();

    let ended = installation.run(&["usage", "rebuild"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let server = installation.serve();
    let admin = server.api(&admin.key);
    let after = (reports::usage(&admin).await, reports::cost(&admin).await);
    assert_eq!(after, before);
    server.stop();
}
