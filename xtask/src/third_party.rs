//! `cargo xtask strangers`: programs that people point at the gateway, unchanged and from their registries, run against the built
//! server with model servers that this project did not write.
//!
//! The ledger, the limits, the costs and the usage that each program got must agree with the reports of the model server. The programs
//! are pinned and driven in `tests/third_party`.

use std::process::Command;

use anyhow::Result;
use clap::Args;

use crate::clients;
use crate::environment::{cargo, root};
use crate::step::run as run_command;

/// Options of the command.
#[derive(Args)]
pub struct ThirdPartyOptions {
    /// The programs to run: codex, codex-websocket, codex-models, codex-compaction, codex-remote-compaction, agents, agents-js,
    /// agents-compaction, agents-js-compaction, langchain, llama-index, ai-sdk, operations, state, sessions, sessions-js. All of
    /// them if none is named.
    names: Vec<String>,
}

/// Builds the server as users do and runs the programs. Fails if one of them does, or if something recorded differs.
pub fn run(options: &ThirdPartyOptions) -> Result<()> {
    let root = root()?;
    let programs = clients::prepare_third_party(&root)?;
    let build = [
        "build",
        "--release",
        "--locked",
        "--quiet",
        "-p",
        "orgplane",
    ];
    run_command(cargo(&root).args(build))?;
    let server = root.join("target/release/orgplane");
    run_command(Command::new(programs).arg(server).args(&options.names))
}
