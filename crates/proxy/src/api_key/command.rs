//! Commands that print an API key, and optionally its expiry.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use base::{Clock, UnixTime};
use http::HeaderValue;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use zeroize::Zeroizing;

/// Maximum run time of a command.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum length of the output of a command.
const MAX_OUTPUT_BYTES: u64 = 64 * 1024;
/// Maximum length of the part of stderr that is logged, in characters.
const MAX_STDERR_LEN: usize = 200;
/// Maximum lifetime of a key, in seconds. A greater number is a Unix time that was printed by mistake.
const MAX_LIFETIME_SECONDS: u64 = 10 * 365 * 24 * 3600;

/// A key, and the time for which it is valid if it expires.
type KeyAndLifetime = (Zeroizing<String>, Option<Duration>);

/// Kills the process group of a command on drop, unless the command has ended by itself.
struct ProcessGroup(Option<Pid>);

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Runs a command and reads the key that it prints.
pub(super) async fn run(words: &[String]) -> Result<KeyAndLifetime, String> {
    let Some((program, arguments)) = words.split_first().filter(|(name, _)| !name.is_empty())
    else {
        return Err(
            "the command is empty: it must be a list of a program and its arguments".to_owned(),
        );
    };
    let failed = |reason: &str| format!("the command '{program}' {reason}");
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(&format!("cannot be run: {error}")))?;
    let id = child.id().and_then(|id| i32::try_from(id).ok());
    let mut group = ProcessGroup(id.and_then(Pid::from_raw));
    let output = tokio::time::timeout(COMMAND_TIMEOUT, wait_with_output(&mut child)).await;
    let seconds = COMMAND_TIMEOUT.as_secs();
    let output = output.map_err(|_| failed(&format!("did not end within {seconds} seconds")))?;
    let output = output.map_err(|error| failed(&error.to_string()))?;
    group.0 = None;
    if !output.status.success() {
        let (status, stderr) = (output.status, first_line(&output.stderr));
        return Err(failed(&format!("failed ({status}): {stderr}")));
    }
    parse(&output.stdout, Clock::system().now()).map_err(|reason| failed(&reason))
}

/// Output of a command that has ended.
struct CommandOutput {
    stdout: Zeroizing<Vec<u8>>,
    stderr: Vec<u8>,
    status: ExitStatus,
}

/// Waits until a command has ended, and reads its output meanwhile.
async fn wait_with_output(child: &mut Child) -> std::io::Result<CommandOutput> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (stdout, stderr) = tokio::join!(read_bounded(stdout), read_bounded(stderr));
    let status = child.wait().await?;
    Ok(CommandOutput {
        stdout: Zeroizing::new(stdout?),
        stderr: stderr?,
        status,
    })
}

/// Reads a pipe to its end. Keeps at most [`MAX_OUTPUT_BYTES`] and one byte, by which an excess is known.
async fn read_bounded(pipe: Option<impl AsyncRead + Unpin>) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        let mut bounded = (&mut pipe).take(MAX_OUTPUT_BYTES + 1);
        bounded.read_to_end(&mut bytes).await?;
        tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await?;
    }
    Ok(bytes)
}

/// Returns the first line of stderr that is not blank, without control characters.
fn first_line(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let line = text.lines().find(|line| !line.trim().is_empty());
    let line = line.unwrap_or("it says nothing on stderr").trim();
    let visible = line.chars().filter(|character| !character.is_control());
    visible.take(MAX_STDERR_LEN).collect()
}

/// Parses the output of a command: the key on the first line, and optionally its expiry on the second.
fn parse(output: &[u8], now: UnixTime) -> Result<KeyAndLifetime, String> {
    if output.len() as u64 > MAX_OUTPUT_BYTES {
        return Err(format!("printed more than {MAX_OUTPUT_BYTES} bytes"));
    }
    let text = std::str::from_utf8(output).map_err(|_| "printed something that is not UTF-8")?;
    let mut lines = text.trim_end().lines();
    let key = lines.next().unwrap_or_default().trim();
    if key.is_empty() {
        return Err("printed no key on its first line".to_owned());
    }
    if HeaderValue::from_str(key).is_err() {
        return Err("printed a key with characters that no header can carry".to_owned());
    }
    let key = Zeroizing::new(key.to_owned());
    let lifetime = lines.next().map(str::trim).filter(|line| !line.is_empty());
    let lifetime = lifetime.map(|line| parse_lifetime(line, now)).transpose()?;
    if lines.next().is_some() {
        return Err("printed more than two lines: a key, and when it ends".to_owned());
    }
    Ok((key, lifetime))
}

/// Parses the expiry of a key: a number of seconds from now, or an RFC 3339 time.
fn parse_lifetime(line: &str, now: UnixTime) -> Result<Duration, String> {
    let wrong = "printed a second line that is neither a number of seconds, of at most ten years, nor a moment like \
                 2026-01-31T12:00:00Z";
    if line.bytes().all(|byte| byte.is_ascii_digit()) {
        let seconds: Option<u64> = line.parse().ok();
        let seconds = seconds.filter(|seconds| *seconds <= MAX_LIFETIME_SECONDS);
        return seconds
            .map(Duration::from_secs)
            .ok_or_else(|| wrong.to_owned());
    }
    let end: jiff::Timestamp = line.parse().map_err(|_| wrong.to_owned())?;
    let left = u64::try_from(end.as_second().saturating_sub(now.0)).unwrap_or_default();
    Ok(Duration::from_secs(left))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(output: &str) -> Result<(String, Option<u64>), String> {
        let (key, lifetime) = parse(output.as_bytes(), UnixTime(1_767_225_600))?;
        Ok((key.to_string(), lifetime.map(|lifetime| lifetime.as_secs())))
    }

    #[test]
    fn upstream_key_rotation_parses_the_output_of_a_command() {
        for (output, lifetime) in [
            ("sk-1", None),
            ("sk-1\n", None),
            (" sk-1 \r\n\r\n", None),
            ("sk-1\n3600\n", Some(3600)),
            ("sk-1\n2026-01-01T00:01:00Z\n", Some(60)),
            ("sk-1\n2026-01-01T02:01:00.5+02:00", Some(60)),
            ("sk-1\n2025-01-01T00:00:00Z", Some(0)),
        ] {
            assert_eq!(
                parsed(output),
                Ok(("sk-1".to_owned(), lifetime)),
                "{output:?}"
            );
        }
        for (output, reason) in [
            ("", "no key"),
            ("\nsk-1", "no key"),
            ("s\u{1}k", "no header can carry"),
            ("sk-1\nsoon", "neither a number of seconds"),
            ("sk-1\n1767225600", "neither a number of seconds"),
            ("sk-1\n-1", "neither a number of seconds"),
            ("sk-1\n60\nmore", "more than two lines"),
        ] {
            let error = parsed(output).expect_err(reason);
            assert!(error.contains(reason), "{output:?}: {error}");
            assert!(!error.contains("sk-1"), "{error}");
        }
    }

    async fn sh(script: &str) -> Result<String, String> {
        let words = ["sh", "-c", script].map(str::to_owned);
        run(&words).await.map(|(key, _)| key.to_string())
    }

    #[tokio::test]
    async fn upstream_key_rotation_bounds_the_run_time_and_output_of_a_command() {
        assert_eq!(
            sh("echo sk-1; echo 60; echo noise >&2").await,
            Ok("sk-1".to_owned())
        );
        for (script, reason) in [
            (
                "echo sk-1; echo no such secret >&2; exit 3",
                "failed (exit status: 3): no such secret",
            ),
            ("echo sk-1; kill -9 $$", "it says nothing on stderr"),
            (
                "head -c 100000 /dev/zero | tr '\\0' x",
                "more than 65536 bytes",
            ),
            ("true", "no key"),
        ] {
            let error = sh(script).await.expect_err(reason);
            assert!(
                error.starts_with("the command 'sh' ") && error.contains(reason),
                "{error}"
            );
            assert!(!error.contains("sk-1"), "{error}");
        }
        for words in [&[][..], &[String::new()], &["/no/such/program".to_owned()]] {
            assert!(run(words).await.is_err(), "{words:?}");
        }
    }
}
