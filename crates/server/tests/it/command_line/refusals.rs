//! Exit codes of failed commands: 1 for a failure, 2 for a malformed command line.

use std::os::unix::fs::symlink;
use std::process::Command;

use super::recording_server::RecordingServer;
use crate::process::Process;

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_told_in_full_and_ends_with_1() {
    let server = RecordingServer::start().await;
    let ended = server.run(&["groups", "delete", "group_missing"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let lines: Vec<&str> = ended.stderr.lines().collect();
    let [asked, message, id, hint] = lines[..] else {
        panic!("{ended:?}")
    };
    assert!(asked.starts_with("DELETE \"http://127.0.0.1:"), "{asked}");
    assert!(
        asked.ends_with("/v1/organization/groups/group_missing\": 404 Not Found"),
        "{asked}"
    );
    assert!(message.contains("group_missing"), "{message}");
    assert!(id.starts_with("Request id: req_"), "{id}");
    assert_eq!(
        hint,
        "Hint: 'orgplane admin:organization:groups list' shows what there is"
    );
    let error: serde_json::Value = serde_json::from_str(&ended.stdout).expect("the error object");
    assert_eq!(
        (&error["code"], &error["message"]),
        (&"not_found".into(), &message.into())
    );

    let ended = server.run(&["users", "list", "--admin-api-key", "sk-admin-wrong"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("/v1/organization/users\": 401 Unauthorized\n"),
        "{ended:?}"
    );
    assert!(ended.stderr.contains("OPENAI_ADMIN_KEY"), "{ended:?}");
    assert!(!ended.stderr.contains("sk-admin-wrong"), "{ended:?}");

    let ended = server.run(&[
        "invites",
        "create",
        "--email",
        "a@b.example",
        "--role",
        "reder",
    ]);
    assert_eq!(ended.code, Some(1), "the server knows best: {ended:?}");
    assert!(
        ended
            .stderr
            .contains("Hint: --role takes owner, reader\nDid you mean 'reader'?"),
        "{ended:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_words_end_with_2_and_name_the_nearest_right_ones() {
    let server = RecordingServer::start().await;
    let cases: [(&[&str], &str); 13] = [
        (
            &["projcts", "list"],
            "'orgplane admin:organization:projects'?",
        ),
        (
            &["projects", "lst"],
            "'orgplane admin:organization:projects list'?",
        ),
        (&["projects", "list", "--limt", "3"], "'--limit'?"),
        (&["projects", "list", "--formt", "raw"], "'--format'?"),
        (
            &["projects", "list", "--format", "rwa"],
            "format must be one of: auto, ",
        ),
        (
            &["projects", "list", "--limit", "many"],
            "--limit must be a whole number, not 'many'",
        ),
        (&["projects", "list", "--limit"], "--limit needs a value"),
        (
            &["projects", "list", "--include-archived=maybe"],
            "--include-archived must be true or false",
        ),
        (
            &["projects", "list", "more", "words"],
            "Unexpected extra arguments: [more words]",
        ),
        (&["projects", "retrieve", ""], "--project-id must be an id"),
        (&["projects", "create"], "Required flag \"name\" not set"),
        (
            &["invites", "create"],
            "Required flags \"email, role\" not set",
        ),
        (
            &["projects", "list", "--base-url", "localhost"],
            "--base-url \"localhost\" is missing a scheme",
        ),
    ];
    let ended = Process::start(server.command(&["admin:organization", "list"])).ended();
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("wants a resource"), "{ended:?}");
    for (words, named) in cases {
        let ended = server.run(words);
        assert_eq!(ended.code, Some(2), "{words:?}: {ended:?}");
        assert!(ended.stderr.contains(named), "{words:?}: {ended:?}");
        assert_eq!(ended.stdout, "", "{words:?}");
    }
    assert!(server.calls().is_empty(), "nothing is sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_ends_it_with_1() {
    let server = RecordingServer::start().await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let base = format!("http://{}/v1", free.local_addr().expect("its address"));
    drop(free);
    let ended = server.run(&["users", "list", "--base-url", &base]);
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (Some(1), ""),
        "{ended:?}"
    );
    assert!(
        ended
            .stderr
            .contains(&format!("GET \"{base}/organization/users\"")),
        "{ended:?}"
    );
    assert!(ended.stderr.contains("refused"), "the cause: {ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_environment_without_a_scheme_ends_it_with_1() {
    let server = RecordingServer::start().await;
    let mut command = server.bare(&["admin:organization:users", "list"]);
    command.env("OPENAI_BASE_URL", "localhost:8080");
    let ended = Process::start(command).ended();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("--base-url \"localhost:8080\" is missing a scheme"),
        "{ended:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn flags_of_every_command_stand_anywhere_and_help_is_at_every_level() {
    let server = RecordingServer::start().await;
    let run = |words: &[&str]| Process::start(server.command(words)).ended();
    // Projects, since a list of users has the moment at which each was last seen.
    let shown = run(&["admin:organization:projects", "list", "--format", "raw"]).stdout;
    for words in [
        ["--format", "raw", "admin:organization:projects", "list"],
        ["admin:organization:projects", "--format", "raw", "list"],
    ] {
        let ended = run(&words);
        assert_eq!((ended.code, &ended.stdout), (Some(0), &shown), "{ended:?}");
    }
    let help: [(&[&str], &str); 6] = [
        (&["admin:organization"], "Resources:\n"),
        (&["--help", "admin:organization"], "Resources:\n"),
        (&["admin:organization:users"], "Verbs:\n"),
        (&["admin:organization:users", "-h"], "Verbs:\n"),
        (
            &["admin:organization:users", "list", "--help"],
            "Example:\n",
        ),
        (
            &[
                "admin:organization:users",
                "update",
                "--role",
                "owner",
                "-h",
            ],
            "Example:\n",
        ),
    ];
    for (words, part) in help {
        let ended = run(words);
        assert_eq!(
            (ended.code, ended.stderr.as_str()),
            (Some(0), ""),
            "{ended:?}"
        );
        assert!(ended.stdout.contains(part), "{words:?}: {ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_called_openai_takes_the_same_words() {
    let server = RecordingServer::start().await;
    let link = server.directory().join("openai");
    symlink(env!("CARGO_BIN_EXE_orgplane"), &link).expect("a link in our directory");
    let like = server.command(&[]);
    let openai = |words: &[&str]| {
        let mut command = Command::new(&link);
        command
            .args(words)
            .env_clear()
            .current_dir(server.directory());
        command.envs(
            like.get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
        Process::start(command).ended()
    };
    let key = server.server.admin().key.expect("an owner has a key");
    for words in [
        ["--admin-api-key", &key, "admin:organization:users", "list"],
        ["admin:organization:users", "list", "--admin-api-key", &key],
    ] {
        let ended = openai(&words);
        assert_eq!(
            (ended.code, ended.stderr.as_str()),
            (Some(0), ""),
            "{ended:?}"
        );
        assert!(ended.stdout.contains("ada@acme.example"), "{ended:?}");
    }
    let ended = openai(&["serve"]);
    assert_eq!(
        ended.code,
        Some(2),
        "it is not the server's binary then: {ended:?}"
    );
    assert!(
        openai(&["--help"])
            .stdout
            .contains("openai admin:organization:RESOURCE")
    );
}
