//! Process metrics from `/proc`; Linux only.

use std::fs::read_to_string;

/// Clock ticks per second in `/proc`, the same on every architecture.
const TICKS_PER_SECOND: f64 = 100.0;

/// Returns the CPU time used so far, in seconds.
pub(super) fn cpu_seconds() -> Option<f64> {
    let text = read_to_string("/proc/self/stat").ok()?;
    // The name of the program, in parentheses, may contain anything.
    let (_, words) = text.rsplit_once(')')?;
    let mut words = words.split_ascii_whitespace().skip(11);
    let mut ticks = || words.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS_PER_SECOND)
}

/// Returns the resident memory, in bytes.
pub(super) fn resident_bytes() -> Option<f64> {
    let text = read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024.0)
}

/// Returns the number of open file descriptors.
pub(super) fn open_files() -> Option<f64> {
    let files = std::fs::read_dir("/proc/self/fd").ok()?;
    Some(files.count() as f64)
}
