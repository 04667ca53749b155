//! Paths of the repository, and programs that the tests need beyond a Rust toolchain: found, or installed if allowed.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::clients::{self, Clients};
use crate::postgres;
use crate::step::{output, run, say, succeeds};

/// Programs that the tests need and cargo does not bring.
pub struct Environment {
    /// The programs of `tests/clients/`.
    pub clients: Clients,
    /// The folder that holds `initdb`, `pg_ctl` and `postgres`.
    pub postgres: PathBuf,
}

impl Environment {
    /// Finds or installs the programs. A folder that was prepared from the same pins is used as it is.
    pub fn prepare(root: &Path) -> Result<Self> {
        if program("curl").is_none() {
            install(
                &["curl"],
                "curl, which the commands that the demo prints use",
            )?;
        }
        Ok(Self {
            postgres: postgres::programs()?,
            clients: clients::prepare(root)?,
        })
    }
}

/// Returns the root of the repository.
pub fn root() -> Result<PathBuf> {
    let xtask =
        std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let root = Path::new(&xtask)
        .parent()
        .context("xtask is a folder of the repository")?;
    Ok(root.to_owned())
}

/// Returns the folder for programs that this tool installs and servers that it starts; `cargo clean` removes it.
pub fn workshop(root: &Path) -> PathBuf {
    root.join("target").join("xtask")
}

/// Returns a command that runs the cargo that started this process, in the root of the repository.
pub fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}

/// Returns the file of that name in the folders of `PATH`.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// True if this process is run by root.
pub fn is_root() -> bool {
    output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

/// Installs Debian packages; without the right to do so, fails with `otherwise` as the missing thing.
pub fn install(packages: &[&str], otherwise: &str) -> Result<()> {
    let words = packages.join(" ");
    let sudo: &[&str] = if is_root() { &[] } else { &["sudo", "-n"] };
    let allowed = sudo.is_empty() || succeeds(Command::new("sudo").args(["-n", "true"]));
    if program("apt-get").is_none() || !allowed {
        bail!(
            "missing: {otherwise}\ninstall it, on Debian with `apt-get install {words}` as root, and run this again"
        );
    }
    say(&format!("installing {words}"));
    for arguments in [
        vec!["update"],
        [&["install", "-y", "--no-install-recommends"], packages].concat(),
    ] {
        let mut all = [
            sudo,
            &["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"],
        ]
        .concat();
        all.extend(arguments);
        run(Command::new(all[0]).args(&all[1..]))?;
    }
    Ok(())
}

/// True if the file holds exactly this text: a prepared folder has the pins that it was made from in such a file.
pub fn is_stamped(file: &Path, text: &str) -> bool {
    std::fs::read_to_string(file).is_ok_and(|found| found == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_the_workspace() {
        assert!(root().unwrap().join("Cargo.lock").is_file());
    }

    #[test]
    fn programs_are_found_in_path() {
        assert!(program("sh").is_some());
        assert!(program("no-such-program-here").is_none());
    }
}
