//! Portkey's gateway from npm, to compare with: it forwards, and checks and counts nothing.

use std::net::TcpListener;

use anyhow::{Context, Result};
use serde_json::Value;

use super::bench::{Bench, confined};
use super::process::{Process, wait_for};
use crate::clients;

/// A running one.
pub struct Portkey {
    /// Address that Portkey listens on: `host:port`.
    pub address: String,
    /// Its one process.
    pub process: Process,
}

/// Returns the version that is pinned.
pub fn version(bench: &Bench) -> Result<String> {
    let pins = std::fs::read_to_string(bench.root.join("tests/peers/package.json"))?;
    let pins: Value = serde_json::from_str(&pins)?;
    let version = pins["dependencies"]["@portkey-ai/gateway"].as_str();
    Ok(version
        .context("tests/peers/package.json pins no gateway")?
        .to_owned())
}

impl Portkey {
    /// Starts Portkey on the core of the measured program. Requests name their model server.
    pub fn start(bench: &Bench) -> Result<Self> {
        let (node, folder) = clients::peer(&bench.root)?;
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let address = format!("127.0.0.1:{port}");
        let mut command = confined(&node, bench.cores.measured);
        command
            .arg("--require")
            .arg(bench.root.join("tests/peers/loopback.cjs"))
            .arg(folder.join("node_modules/@portkey-ai/gateway/build/start-server.js"))
            .args(["--headless", &format!("--port={port}")])
            .env("NODE_ENV", "production");
        let process = Process::start(&mut command, &bench.room("portkey")?.join("log"))?;
        wait_for(&address)?;
        Ok(Self { address, process })
    }

    /// Returns the headers by which a request names the model server at `base`; other targets ignore them.
    pub fn headers(base: &str) -> [(&'static str, String); 2] {
        [
            ("x-portkey-provider", "openai".to_owned()),
            ("x-portkey-custom-host", base.to_owned()),
        ]
    }
}
