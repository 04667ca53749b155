//! Keys that are read from files, so that no list of processes shows them.

use super::recording_server::RecordingServer;
use crate::process::Process;

#[tokio::test(flavor = "multi_thread")]
async fn low_key_file_is_read_in_place_of_the_key() {
    let server = RecordingServer::start().await;
    let key = server.server.admin().key.expect("an owner has a key");
    let file = |name: &str, text: &str| {
        let file = server.directory().join(name);
        std::fs::write(&file, text).expect("a file in our directory");
        file.display().to_string()
    };
    let (good, wrong) = (
        file("good", &format!("{key}\n")),
        file("wrong", "sk-admin-wrong"),
    );
    let words = ["admin:organization:users", "list"];
    let run = |flags: &[&str]| {
        let mut command = server.bare(&[&words[..], flags].concat());
        command.env("OPENAI_BASE_URL", server.base_url());
        // The flag wins over the environment.
        command.env("OPENAI_ADMIN_KEY", "sk-admin-of-the-environment");
        Process::start(command).ended()
    };
    let ended = run(&["--admin-api-key-file", &good]);
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (Some(0), ""),
        "{ended:?}"
    );
    assert!(ended.stdout.contains("ada@acme.example"), "{ended:?}");
    let sent = server.calls().len();
    let ended = run(&["--admin-api-key-file", &wrong]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("401 Unauthorized"), "{ended:?}");
    assert_eq!(server.calls().len(), sent + 1);
    for (file, reason) in [
        (file("empty", "\n"), "empty"),
        (file("two", "sk-admin-1 sk-admin-2"), "more than a key"),
        ("absent".to_owned(), "No such file"),
    ] {
        let ended = run(&["--admin-api-key-file", &file]);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let names_it =
            ended.stderr.contains("--admin-api-key-file") && ended.stderr.contains(reason);
        assert!(names_it && !ended.stderr.contains("sk-admin-"), "{ended:?}");
    }
    let both = run(&["--admin-api-key-file", &good, "--admin-api-key", &key]);
    assert_eq!(both.code, Some(2), "{both:?}");
    assert!(both.stderr.contains("exclude each other"), "{both:?}");
    assert_eq!(server.calls().len(), sent + 1, "nothing is sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn low_key_file_of_a_project_key_reports_usage() {
    let server = RecordingServer::start().await;
    let file = server.directory().join("project-key");
    std::fs::write(&file, "sk-svcacct-unknown\n").expect("a file in our directory");
    let file = file.display().to_string();
    let project = server.default_project();
    let words = [
        "admin:organization:usage:events",
        "create",
        "--id",
        "evt_1",
        "--timestamp",
        "1768478400",
        "--type",
        "moderations",
        "--project-id",
        &project,
        "--api-key-file",
        &file,
    ];
    let mut command = server.bare(&words);
    command.env("OPENAI_BASE_URL", server.base_url());
    let ended = Process::start(command).ended();
    // The key in the file is the one that was sent: without it the refusal says that there was none.
    assert!(
        ended.stderr.contains("Incorrect API key provided"),
        "{ended:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn low_key_file_is_what_help_recommends() {
    let server = RecordingServer::start().await;
    let ended = Process::start(server.command(&["admin:organization", "--help"])).ended();
    assert!(
        ended.stdout.contains("--admin-api-key-file <FILE>"),
        "{ended:?}"
    );
    assert!(ended.stdout.contains("list of processes"), "{ended:?}");
}
