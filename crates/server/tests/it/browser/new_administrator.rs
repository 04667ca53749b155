//! The way of a new administrator, from the link that `orgplane demo` prints.

use serde_json::json;

use super::scenario;
use crate::installation::Installation;
use crate::process::Process;

#[test]
fn new_administrator_gets_from_the_printed_link_to_a_limited_project_and_a_colleague() {
    let installation = Installation::new("");
    let mut demo = Process::start(installation.command(&["demo", "--listen", "127.0.0.1:0"]));
    demo.wait_for_line("Stop the demo with Ctrl-C.");
    let link = demo.line("  Sign in      ").expect("a sign-in link");
    scenario::run("new_administrator", &json!({"link": link.trim()}));
    demo.terminate();
    assert_eq!(demo.ended().code, Some(0));
}
