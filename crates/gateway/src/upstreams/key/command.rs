//! A command that prints a key, and perhaps when the key ends.

use std::process::Stdio;
use std::time::Duration;

use base::{Clock, UnixTime};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use zeroize::Zeroizing;

use super::checked;

/// The longest time that a command may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The most that it may print, in bytes.
const MAX_OUTPUT_BYTES: u64 = 64 * 1024;
/// The most of its complaints that the log shows, in characters.
const MAX_COMPLAINT: usize = 200;
/// The longest lifetime of a key, in seconds. A greater number is a moment that was taken for a lifetime.
const MAX_LIFETIME_SECONDS: u64 = 10 * 365 * 24 * 3600;

/// Ends a command, and whatever it has started, unless it has ended by itself.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Runs a command; returns the key that it prints, and for how long that is good.
pub(super) async fn run(words: &[String]) -> Result<(Zeroizing<String>, Option<Duration>), String> {
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
    let mut group = Group(id.and_then(Pid::from_raw));
    let printed = tokio::time::timeout(TIMEOUT, outcome(&mut child)).await;
    let seconds = TIMEOUT.as_secs();
    let printed = printed.map_err(|_| failed(&format!("did not end within {seconds} seconds")))?;
    let (printed, complaint, status) = printed.map_err(|error| failed(&error.to_string()))?;
    group.0 = None;
    if !status.success() {
        let complaint = shown(&complaint);
        return Err(failed(&format!("failed ({status}): {complaint}")));
    }
    parse(&printed, Clock::system().now()).map_err(|reason| failed(&reason))
}

type Outcome = (Zeroizing<Vec<u8>>, Vec<u8>, std::process::ExitStatus);

/// Waits until a command has ended, and reads what it prints meanwhile.
async fn outcome(child: &mut Child) -> std::io::Result<Outcome> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (printed, complaint) = tokio::join!(read(stdout), read(stderr));
    let status = child.wait().await?;
    let (printed, complaint) = (Zeroizing::new(printed?), complaint?);
    Ok((printed, complaint, status))
}

/// Reads a pipe to its end; of what is too long the beginning is kept, and one byte more than allowed tells so.
async fn read(pipe: Option<impl AsyncRead + Unpin>) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        let mut bounded = (&mut pipe).take(MAX_OUTPUT_BYTES + 1);
        bounded.read_to_end(&mut bytes).await?;
        tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await?;
    }
    Ok(bytes)
}

/// The first line of what a command complains about, without control characters.
fn shown(complaint: &[u8]) -> String {
    let text = String::from_utf8_lossy(complaint);
    let line = text.lines().find(|line| !line.trim().is_empty());
    let line = line.unwrap_or("it says nothing on stderr").trim();
    let visible = line.chars().filter(|character| !character.is_control());
    visible.take(MAX_COMPLAINT).collect()
}

/// Reads what a command printed: the key on the first line, and perhaps its end on the second.
fn parse(printed: &[u8], now: UnixTime) -> Result<(Zeroizing<String>, Option<Duration>), String> {
    if printed.len() as u64 > MAX_OUTPUT_BYTES {
        return Err(format!("printed more than {MAX_OUTPUT_BYTES} bytes"));
    }
    let text = std::str::from_utf8(printed).map_err(|_| "printed something that is not UTF-8")?;
    let mut lines = text.trim_end().lines();
    let key = lines.next().unwrap_or_default().trim();
    if key.is_empty() {
        return Err("printed no key on its first line".to_owned());
    }
    let key = checked(key).map_err(|_| "printed a key with characters that no header can carry")?;
    let lifetime = lines.next().map(str::trim).filter(|line| !line.is_empty());
    let lifetime = lifetime.map(|line| lifetime_of(line, now)).transpose()?;
    if lines.next().is_some() {
        return Err("printed more than two lines: a key, and when it ends".to_owned());
    }
    Ok((key, lifetime))
}

/// The lifetime of a key that ends as `line` says: after so many seconds, or at a moment.
fn lifetime_of(line: &str, now: UnixTime) -> Result<Duration, String> {
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

    fn parsed(printed: &str) -> Result<(String, Option<u64>), String> {
        let (key, lifetime) = parse(printed.as_bytes(), UnixTime(1_767_225_600))?;
        Ok((key.to_string(), lifetime.map(|it| it.as_secs())))
    }

    #[test]
    fn upstream_key_rotation_reads_what_a_command_prints() {
        for (printed, lifetime) in [
            ("sk-1", None),
            ("sk-1\n", None),
            (" sk-1 \r\n\r\n", None),
            ("sk-1\n3600\n", Some(3600)),
            ("sk-1\n2026-01-01T00:01:00Z\n", Some(60)),
            ("sk-1\n2026-01-01T02:01:00.5+02:00", Some(60)),
            ("sk-1\n2025-01-01T00:00:00Z", Some(0)),
        ] {
            assert_eq!(
                parsed(printed),
                Ok(("sk-1".to_owned(), lifetime)),
                "{printed:?}"
            );
        }
        for (printed, reason) in [
            ("", "no key"),
            ("\nsk-1", "no key"),
            ("s\u{1}k", "no header can carry"),
            ("sk-1\nsoon", "neither a number of seconds"),
            ("sk-1\n1767225600", "neither a number of seconds"),
            ("sk-1\n-1", "neither a number of seconds"),
            ("sk-1\n60\nmore", "more than two lines"),
        ] {
            let error = parsed(printed).expect_err(reason);
            assert!(error.contains(reason), "{printed:?}: {error}");
            assert!(!error.contains("sk-1"), "{error}");
        }
    }

    async fn sh(script: &str) -> Result<String, String> {
        let words = ["sh", "-c", script].map(str::to_owned);
        run(&words).await.map(|(key, _)| key.to_string())
    }

    #[tokio::test]
    async fn upstream_key_rotation_runs_a_command_within_bounds() {
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
