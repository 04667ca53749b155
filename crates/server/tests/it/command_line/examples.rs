//! The examples of the published reference work as they are written there.

use std::os::unix::fs::symlink;
use std::process::Command;

use super::recording_server::{RecordingServer, words};
use crate::process::Process;

const EXAMPLES: &str = include_str!("examples.txt");

#[tokio::test(flavor = "multi_thread")]
async fn the_published_examples_are_understood_as_written() {
    let server = RecordingServer::start().await;
    let openai = server.directory().join("openai");
    symlink(env!("CARGO_BIN_EXE_orgplane"), &openai).expect("a link in our directory");
    let operations = admin::operations();
    for line in EXAMPLES.lines() {
        let words = words(line);
        let resource = words[1].strip_prefix("admin:organization:").expect(line);
        let command = format!("{resource} {}", words[2]);
        let operation = operations
            .iter()
            .find(|operation| operation.command == command);
        let operation = operation.unwrap_or_else(|| panic!("there is no {command}"));
        let mut run = Command::new(&openai);
        run.args(&words[1..])
            .env_clear()
            .env("OPENAI_BASE_URL", server.base_url());
        let ended = Process::start(run).ended();
        // The examples' key opens no server.
        assert_eq!(ended.code, Some(1), "{line}: {ended:?}");
        assert!(
            ended.stderr.contains("401 Unauthorized"),
            "{line}: {ended:?}"
        );
        let call = server.last_call();
        // They give each parameter its own name as its value.
        let path = operation.path.replace(['{', '}'], "");
        let query = if line.contains("--start-time 0") {
            "?start_time=0"
        } else {
            ""
        };
        assert_eq!(
            (call.method.as_str(), call.address),
            (operation.method.as_str(), format!("/v1{path}{query}")),
            "{line}"
        );
    }
    assert_eq!(server.calls().len(), EXAMPLES.lines().count());
}
