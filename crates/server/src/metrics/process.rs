//! The process as the kernel sees it, where it says so: on Linux.

use std::fs::read_to_string;

/// Ticks of the clock in a second, as `/proc` counts them on every architecture.
const TICKS: f64 = 100.0;

/// Seconds of processor time so far.
pub(super) fn cpu_seconds() -> Option<f64> {
    let text = read_to_string("/proc/self/stat").ok()?;
    // The name of the program is in parentheses and may hold anything; what follows are words.
    let (_, words) = text.rsplit_once(')')?;
    let mut words = words.split_ascii_whitespace().skip(11);
    let mut ticks = || words.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS)
}

/// Bytes of memory that are resident.
pub(super) fn resident_bytes() -> Option<f64> {
    let text = read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024.0)
}

/// How many files and connections are open.
pub(super) fn open_files() -> Option<f64> {
    let files = std::fs::read_dir("/proc/self/fd").ok()?;
    Some(files.count() as f64)
}
