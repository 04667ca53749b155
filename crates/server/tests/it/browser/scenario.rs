//! Runs scenarios, a bounded number at a time: each has a browser of its own.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::{Condvar, Mutex, PoisonError};

use serde_json::Value;

use crate::model_server::prepared;

/// Maximum number of browsers at a time; each occupies about 300 MB and a core.
const MAX_CONCURRENT_BROWSERS: usize = 2;

static RUNNING: Mutex<usize> = Mutex::new(0);
static ENDED: Condvar = Condvar::new();

/// A permit to run a browser. Dropping it lets the next one run.
struct BrowserPermit;

impl BrowserPermit {
    fn acquire() -> Self {
        let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        let mut running = ENDED
            .wait_while(running, |running| *running >= MAX_CONCURRENT_BROWSERS)
            .unwrap_or_else(PoisonError::into_inner);
        *running += 1;
        Self
    }
}

impl Drop for BrowserPermit {
    fn drop(&mut self) {
        *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        ENDED.notify_one();
    }
}

/// Runs a scenario to its end. Every check of it must hold, and there must be some.
///
/// # Panics
/// A check does not hold; the message has the report of the scenario.
#[track_caller]
pub fn run(name: &str, input: &Value) -> Vec<Value> {
    let _permit = BrowserPermit::acquire();
    let evidence = std::env::temp_dir().join("orgplane-browser");
    let mut process = Command::new(prepared("ORGPLANE_TEST_BROWSER"))
        .arg(name)
        .env("ORGPLANE_EVIDENCE", &evidence)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program of the scenarios starts");
    let mut stdin = process.stdin.take().expect("its input is piped");
    stdin
        .write_all(input.to_string().as_bytes())
        .expect("the scenario reads its input");
    drop(stdin);
    let ended = process.wait_with_output().expect("a child that is ours");
    let printed = String::from_utf8_lossy(&ended.stdout);
    let report: Vec<Value> = printed
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let is_done = report.last().is_some_and(|line| line["done"] == name);
    assert!(
        ended.status.success() && is_done && report.len() > 1,
        "{name}: {}\n{}\npictures of the failure are in {}",
        printed.lines().last().unwrap_or_default(),
        String::from_utf8_lossy(&ended.stderr),
        evidence.display()
    );
    report
}
