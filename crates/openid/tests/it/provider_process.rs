//! Programs of others that are identity providers, see `tests/oidc`.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// Provider that runs until it is dropped.
pub struct ProviderProcess {
    /// Issuer.
    pub issuer: String,
    /// Output; a program that writes into a closed pipe may end.
    _output: Lines<BufReader<ChildStdout>>,
    _child: Child,
}

impl ProviderProcess {
    /// Starts the program that a variable names, and waits for the line with its issuer.
    pub async fn start(variable: &str, arguments: &[&str]) -> Self {
        let program = std::env::var_os(variable);
        let program =
            program.unwrap_or_else(|| panic!("{variable} is not set, see CONTRIBUTING.md"));
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("the provider starts");
        let output = child.stdout.take().expect("a pipe");
        let mut lines = BufReader::new(output).lines();
        let line = tokio::time::timeout(poll::DEFAULT_TIMEOUT, lines.next_line()).await;
        let line = line.expect("a line in time").expect("a line");
        Self {
            issuer: line.expect("the issuer"),
            _output: lines,
            _child: child,
        }
    }
}
