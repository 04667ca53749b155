//! A server that was started for a measurement: what it costs, and its end.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::bench::pause;
use crate::step::{instant, output};

/// Linux counts CPU time in hundredths of a second, whatever the kernel's own tick.
const MICROSECONDS_PER_TICK: u64 = 10_000;
/// Time in which a server must start.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// Time in which a server must stop: it may have a long log to fold into a large database.
const STOP_TIMEOUT: Duration = Duration::from_secs(600);

/// A running program. Dropping it ends it.
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts it; what it says on standard error goes to `log`.
    pub fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let log = fs::File::create(log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        Ok(Self { child })
    }

    /// Its id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns the text after `prefix` on the first line of standard output that has the prefix.
    pub fn says(&mut self, prefix: &str) -> Result<String> {
        let stdout = self.child.stdout.take().context("it was listened to")?;
        for line in BufReader::new(stdout).lines() {
            if let Some(rest) = line?.strip_prefix(prefix) {
                return Ok(rest.to_owned());
            }
        }
        bail!("it ended without saying {prefix:?}")
    }

    /// Returns the CPU time that the process has used, in microseconds.
    pub fn cpu(&self) -> Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.id()))?;
        let ticks = ticks(&text).context("/proc/…/stat has an unknown form")?;
        Ok(ticks * MICROSECONDS_PER_TICK)
    }

    /// Returns the peak memory of the process, in MB.
    pub fn peak_memory(&self) -> Result<f64> {
        self.memory_as("VmHWM:")
    }

    /// Returns the memory of the process, in MB.
    pub fn memory(&self) -> Result<f64> {
        self.memory_as("VmRSS:")
    }

    /// Returns the number of files and sockets that the process has open.
    pub fn open_files(&self) -> Result<usize> {
        Ok(fs::read_dir(format!("/proc/{}/fd", self.id()))?.count())
    }

    fn memory_as(&self, field: &str) -> Result<f64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.id()))?;
        let kibibytes = text
            .lines()
            .find_map(|line| line.strip_prefix(field))
            .and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok());
        let kibibytes = kibibytes.with_context(|| format!("/proc/…/status has no {field}"))?;
        Ok(kibibytes * 1_024.0 / 1e6)
    }

    /// Asks it to stop, and waits until it has.
    pub fn stop(mut self) -> Result<()> {
        output(Command::new("kill").args(["-TERM", &self.id().to_string()]))?;
        let asked = instant();
        while asked.elapsed() < STOP_TIMEOUT {
            if let Some(status) = self.child.try_wait()? {
                if !status.success() {
                    bail!("it ended with {status}");
                }
                return Ok(());
            }
            pause();
        }
        bail!("it did not stop within {STOP_TIMEOUT:?}")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only for a process that has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the CPU time in microseconds of a process and of all its children, those that have ended included.
pub fn cpu_of_family(parent: u32) -> Result<u64> {
    let mut total = 0;
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(id) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // A process may have ended since the folder was read; then its time is its parent's.
        let Ok(text) = fs::read_to_string(format!("/proc/{id}/stat")) else {
            continue;
        };
        if id == parent {
            total += ticks(&text).unwrap_or(0) + ticks_of_ended(&text).unwrap_or(0);
        } else if parent_of(&text) == Some(parent) {
            total += ticks(&text).unwrap_or(0);
        }
    }
    Ok(total * MICROSECONDS_PER_TICK)
}

/// Waits until somebody listens at `address`.
pub fn wait_for(address: &str) -> Result<()> {
    let begun = instant();
    while begun.elapsed() < START_TIMEOUT {
        if std::net::TcpStream::connect(address).is_ok() {
            return Ok(());
        }
        pause();
    }
    bail!("nobody listens at {address}")
}

/// Returns the user and system time in a line of `/proc/<pid>/stat`, whose second field may hold anything in parentheses.
fn ticks(stat: &str) -> Option<u64> {
    Some(field(stat, 11)? + field(stat, 12)?)
}

/// Returns the user and system time of the children that have ended.
fn ticks_of_ended(stat: &str) -> Option<u64> {
    Some(field(stat, 13)? + field(stat, 14)?)
}

fn parent_of(stat: &str) -> Option<u32> {
    u32::try_from(field(stat, 1)?).ok()
}

/// Returns a field of a line of `/proc/<pid>/stat`, counted from the state, which follows the name.
fn field(stat: &str, index: usize) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(index)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_behind_any_name() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194304 100 0 0 0 31 11 2 3 20 0 4 0 123 1 2";
        assert_eq!(ticks(stat), Some(42));
        assert_eq!((parent_of(stat), ticks_of_ended(stat)), (Some(1), Some(5)));
        assert_eq!(ticks("7 (a) S 1"), None);
    }

    #[test]
    fn a_process_is_heard_measured_and_stopped() {
        let log = std::env::temp_dir().join(format!("xtask-process-{}", std::process::id()));
        let script =
            "trap 'exit 0' TERM; echo noise; echo 'ready: yes'; while :; do sleep 0.02; done";
        let mut process = Process::start(Command::new("sh").args(["-c", script]), &log).unwrap();
        assert_eq!(process.says("ready: ").unwrap(), "yes");
        assert!(process.peak_memory().unwrap() > 0.1);
        process.cpu().unwrap();
        cpu_of_family(process.id()).unwrap();
        process.stop().unwrap();
        fs::remove_file(log).unwrap();
    }
}
