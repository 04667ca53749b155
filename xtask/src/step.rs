//! Progress on the terminal, and other programs.

use std::process::{Command, Output, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// Reads the monotonic clock, for measurements.
#[expect(
    clippy::disallowed_methods,
    reason = "a tool has no clock that a test would drive"
)]
pub fn instant() -> Instant {
    Instant::now()
}

/// Prints a line about the progress.
pub fn say(text: &str) {
    eprintln!("xtask: {text}");
}

/// Runs a program that talks to the terminal itself; fails unless it succeeds.
pub fn run(command: &mut Command) -> Result<()> {
    let words = spelled(command);
    let status = command
        .status()
        .with_context(|| format!("cannot start `{words}`"))?;
    if !status.success() {
        bail!("`{words}` ended with {status}");
    }
    Ok(())
}

/// Runs a program in silence and returns its standard output. The error of a program that fails has both of its outputs.
pub fn output(command: &mut Command) -> Result<String> {
    let words = spelled(command);
    let ended = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start `{words}`"))?;
    if !ended.status.success() {
        bail!("`{words}` ended with {}\n{}", ended.status, written(&ended));
    }
    Ok(String::from_utf8_lossy(&ended.stdout).into_owned())
}

/// True if the program can be started and succeeds.
pub fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .output()
        .is_ok_and(|ended| ended.status.success())
}

fn written(ended: &Output) -> String {
    let text = [&ended.stdout, &ended.stderr]
        .map(|bytes| String::from_utf8_lossy(bytes).trim().to_owned());
    text.join("\n").trim().to_owned()
}

/// Returns the words of a command, without its environment (which may hold a password).
fn spelled(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_command_and_what_it_said() {
        let error = output(Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("sh -c") && error.contains("exit status: 3"),
            "{error}"
        );
        assert!(error.contains("out") && error.contains("err"), "{error}");
    }

    #[test]
    fn a_missing_program_is_an_error() {
        assert!(run(&mut Command::new("no-such-program-here")).is_err());
        assert!(!succeeds(&mut Command::new("no-such-program-here")));
    }
}
