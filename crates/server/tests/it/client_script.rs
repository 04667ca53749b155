//! The scripts of `tests/clients`, which drive a server with the official clients.

use std::path::Path;
use std::process::Command;

use crate::api::Api;
use crate::installation::Server;
use crate::model_server::{prepared, prices_as_json};

/// The Python that has the official client, in the folder of its scripts.
#[track_caller]
pub fn python(words: &[&str]) -> Command {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/clients/python");
    let mut python = Command::new(prepared("ORGPLANE_TEST_PYTHON"));
    python
        .args(words)
        .current_dir(scripts)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    python
}

/// The Node that has the official client, with one of its scripts.
#[track_caller]
pub fn node(script: &str) -> Command {
    let mut node = Command::new(prepared("ORGPLANE_TEST_NODE"));
    node.arg(script);
    node
}

/// Lets a script drive the server, and stops the server when it has ended. Everything must have gone well on both sides.
#[track_caller]
pub fn drive(server: Server, admin: &Api, script: &mut Command) {
    let finished = script
        .env("OPENAI_BASE_URL", &admin.base)
        .env("OPENAI_ADMIN_KEY", &admin.key)
        .env("ORGPLANE_TEST_PRICES", prices_as_json().to_string())
        .env("NO_PROXY", "*")
        .output()
        .expect("the script's interpreter runs");
    let said = String::from_utf8_lossy(&finished.stdout);
    let complained = String::from_utf8_lossy(&finished.stderr);
    let logged = server.process.stderr();
    assert!(
        finished.status.success() && said.trim_end().ends_with("everything holds"),
        "{said}\n{complained}\nthe server's log:\n{logged}"
    );
    let ended = server.stop();
    assert!(!ended.stderr.contains("ERROR"), "{}", ended.stderr);
}
