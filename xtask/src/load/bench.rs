//! Equipment of every measurement: the binary under test, other programs, a folder, and the assignment of cores.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::engine::{Engine, EngineName};
use super::options::BenchOptions;
use crate::environment::{cargo, install, program, workshop};
use crate::step::{run, say};

/// Equipment that is in place.
pub struct Bench {
    /// The root of the repository.
    pub root: PathBuf,
    /// The build of `orgplane` that is measured.
    pub binary: PathBuf,
    /// The profile that it was built with.
    pub profile: String,
    /// `wrk`, which sends requests.
    pub wrk: PathBuf,
    /// `nginx`, the upstream and the proxy to compare with.
    pub nginx: PathBuf,
    /// Folder of databases and configurations; removed at the end.
    pub folder: PathBuf,
    /// Assignment of cores.
    pub cores: Cores,
    /// Seconds of each single measurement.
    pub seconds: u64,
    /// Number of repetitions of each measurement.
    pub rounds: u64,
    /// Minutes for which the gateway's memory is watched.
    pub minutes: u64,
    /// Numbers of usage events of the ledgers that reports are read from, the smallest first.
    pub events: Vec<u64>,
    /// True if the larger ledgers have the groups of the smallest.
    pub alike: bool,
    /// Number of series of an organization that has many.
    pub series: u64,
    /// Number of rows of the longest list.
    pub rows: u64,
    /// The database system that servers are started on.
    pub engine: Engine,
}

/// Cores: one for the process that is measured, another for the one that drives it, so that neither takes time from the
/// other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cores {
    /// For the program that is measured.
    pub measured: Option<u32>,
    /// For the load generator and the upstream.
    pub others: Option<u32>,
}

impl Bench {
    /// Builds the binary, finds or installs the programs.
    pub fn prepare(root: &Path, options: &BenchOptions) -> Result<Self> {
        let (binary, profile) = match &options.binary {
            Some(file) => (file.canonicalize()?, "unknown".to_owned()),
            None => (build(root, &options.profile)?, options.profile.clone()),
        };
        for name in ["taskset", "setpriv"] {
            found(name, &["/usr/bin"], "util-linux")?;
        }
        let wrk = found("wrk", &["/usr/bin", "/usr/local/bin"], "wrk")?;
        let nginx = found("nginx", &["/usr/sbin", "/usr/local/sbin"], "nginx-light")?;
        let mut events = options.events.clone();
        events.sort_unstable();
        let folder = workshop(root).join(format!("load-{}", std::process::id()));
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self {
            root: root.to_owned(),
            binary,
            profile,
            wrk,
            nginx,
            folder,
            cores: Cores::of_this_process()?,
            seconds: options.seconds,
            rounds: options.rounds,
            minutes: options.minutes,
            events,
            alike: options.alike,
            series: options.series,
            rows: options.rows,
            engine: Engine::Sqlite,
        })
    }

    /// Starts the database system for the following measurements.
    pub fn set_engine(&mut self, name: EngineName) -> Result<()> {
        self.engine = Engine::start(&self.root, name)?;
        Ok(())
    }

    /// Makes an empty folder for one server.
    pub fn room(&self, name: &str) -> Result<PathBuf> {
        let room = self.folder.join(name);
        if room.exists() {
            fs::remove_dir_all(&room)?;
        }
        fs::create_dir(&room)?;
        Ok(room)
    }

    /// Returns the seconds for which a measurement is driven before its figures count.
    pub fn warm_up(&self) -> u64 {
        self.seconds.min(2)
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            say(&format!("{} stays: {error}", self.folder.display()));
        }
    }
}

impl Cores {
    fn of_this_process() -> Result<Self> {
        let status = fs::read_to_string("/proc/self/status")
            .context("this measures on Linux: there is no /proc/self/status")?;
        let list = status
            .lines()
            .find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        Ok(Self::first_two(list.unwrap_or_default()))
    }

    /// Reads the first two cores of a list such as `0-3,8`; none if there are not two.
    fn first_two(list: &str) -> Self {
        let span = |text: &str| {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            Some(first.trim().parse::<u32>().ok()?..=last.trim().parse().ok()?)
        };
        let mut cores = list.split(',').filter_map(span).flatten();
        match (cores.next(), cores.next()) {
            (measured, others @ Some(_)) => Self { measured, others },
            _ => Self {
                measured: None,
                others: None,
            },
        }
    }
}

/// Returns a command that is confined to a core, if one is given, and ends with this process.
pub fn confined(program: &Path, core: Option<u32>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]);
    if let Some(core) = core {
        command.args(["taskset", "-c", &core.to_string()]);
    }
    command.arg(program);
    command
}

/// Waits a moment, in a loop that looks for something.
pub fn pause() {
    std::thread::sleep(Duration::from_millis(50));
}

/// Builds the program; returns its file.
fn build(root: &Path, profile: &str) -> Result<PathBuf> {
    say(&format!("building the binary in the profile {profile}"));
    run(cargo(root)
        .args(["build", "--locked", "--quiet", "-p", "orgplane"])
        .args(["--profile", profile]))?;
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root.join("target"), |folder| root.join(folder));
    Ok(target.join(profile).join("orgplane"))
}

/// Finds the program of that name, or installs it from this Debian package.
fn found(name: &str, folders: &[&str], package: &str) -> Result<PathBuf> {
    let find = || {
        let beyond = folders.iter().map(|folder| Path::new(folder).join(name));
        program(name).or_else(|| beyond.into_iter().find(|file| file.is_file()))
    };
    if let Some(file) = find() {
        return Ok(file);
    }
    install(&[package], &format!("the program {name}"))?;
    find().with_context(|| format!("the system's packages do not bring {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_two_cores_are_taken() {
        let both = |measured, others| Cores {
            measured: Some(measured),
            others: Some(others),
        };
        assert_eq!(Cores::first_two("\t0-1"), both(0, 1));
        assert_eq!(Cores::first_two("3,7-9\n"), both(3, 7));
        assert_eq!(Cores::first_two("2-5"), both(2, 3));
        let none = Cores {
            measured: None,
            others: None,
        };
        assert_eq!(Cores::first_two("0"), none);
        assert_eq!(Cores::first_two(""), none);
    }
}
