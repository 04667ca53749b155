//! Largest contentful paint of each page in Chromium.

use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::super::bench::Bench;
use super::super::server::Server;
use super::crawl::Page;
use super::public_host;
use crate::browser;

/// Scenario of `tests/browser`.
const SCENARIO: &str = "paint";

/// Loads every page twice in a browser of its own, and keeps the times.
pub fn measure(bench: &Bench, server: &Server, session: &str, pages: &mut [Page]) -> Result<()> {
    let runner = browser::prepare(&bench.root)?;
    let (_, token) = session.split_once('=').context("a cookie has a value")?;
    let paths: Vec<_> = pages.iter().map(|page| &page.path).collect();
    let base = format!("http://{}", public_host(server));
    let input = json!({"base": base, "token": token, "paths": paths}).to_string();
    let mut command = Command::new(runner);
    command
        .arg(SCENARIO)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = command.spawn().context("cannot start the browser")?;
    let mut stdin = child.stdin.take().context("its input is piped")?;
    stdin.write_all(input.as_bytes())?;
    drop(stdin);
    let ended = child.wait_with_output()?;
    let lines = String::from_utf8_lossy(&ended.stdout).into_owned();
    if !ended.status.success() {
        bail!("the pages could not be painted: {lines}");
    }
    for line in lines.lines() {
        let line: Value = serde_json::from_str(line)?;
        let page = pages.iter_mut().find(|page| line["path"] == page.path);
        if let Some(page) = page {
            page.paints = [&line["first"], &line["next"]].map(|paint| paint.as_f64());
        }
    }
    Ok(())
}
