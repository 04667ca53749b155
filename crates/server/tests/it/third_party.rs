//! Programs that people point at the gateway, driven by `tests/third_party/run.py`.

use std::process::Command;

use crate::model_server::prepared;

/// Runs programs against a server of their own, which `run.py` starts.
#[track_caller]
fn run(names: &[&str]) {
    let output = Command::new(prepared("ORGPLANE_TEST_THIRD_PARTY"))
        .arg(env!("CARGO_BIN_EXE_orgplane"))
        .args(names)
        .output()
        .expect("the driver runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.trim_end().ends_with("everything holds"),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn codex_makes_a_turn_with_a_tool_call_that_is_recorded_exactly() {
    run(&["codex", "codex-websocket"]);
}

#[test]
fn codex_takes_its_default_model_from_the_catalog() {
    run(&["codex-models"]);
}

#[test]
fn codex_compacts_a_conversation_by_itself_and_at_the_model_server() {
    run(&["codex-compaction", "codex-remote-compaction"]);
}

#[test]
fn the_agents_sdk_in_python_uses_tools_handoffs_and_sessions_that_are_recorded_exactly() {
    run(&["agents", "agents-compaction"]);
}

#[test]
fn the_agents_sdk_in_javascript_uses_tools_handoffs_and_sessions_that_are_recorded_exactly() {
    run(&["agents-js", "agents-js-compaction"]);
}

#[test]
fn the_official_clients_call_every_operation_that_is_not_of_administration() {
    run(&["operations"]);
}
