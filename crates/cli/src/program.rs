//! The program that runs a command line, and its output streams.

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use clap::Command;

use crate::failure::Failure;

/// The program that runs a command line.
pub struct Program {
    /// The name that it was called by.
    pub name: String,
    /// Its version.
    pub version: &'static str,
    /// The address of the server's API if neither flag nor environment names another.
    pub base_url: &'static str,
    /// Its other commands; `None` if it has no others.
    pub others: Option<Command>,
}

/// Writes to stdout; a closed pipe is no error.
pub fn print(text: &str) -> Result<ExitCode, Failure> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Writes a line to stderr. A closed stderr is no error: the exit code remains.
pub fn write_to_stderr(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
