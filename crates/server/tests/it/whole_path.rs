//! The official Python client takes the whole path, against the built binary and a model server of others.

use std::path::Path;
use std::process::Command;

use crate::installation::Installation;
use crate::model_server::{ModelServer, prepared, prices_as_json};

#[test]
fn the_official_python_client_takes_the_whole_path() {
    let python = prepared("ORGPLANE_TEST_PYTHON");
    let model_server = ModelServer::start();
    let installation = Installation::new(&model_server.settings());
    let (server, admin) = installation.first_serve();

    let script =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/clients/python/whole_path.py");
    let finished = Command::new(python)
        .arg(script)
        .env("OPENAI_BASE_URL", &admin.base)
        .env("OPENAI_ADMIN_KEY", &admin.key)
        .env("ORGPLANE_TEST_PRICES", prices_as_json().to_string())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("NO_PROXY", "*")
        .output()
        .expect("Python runs");

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
