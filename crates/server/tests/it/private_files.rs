//! S21: whatever the program makes is for the user that runs it, whatever the umask says.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::installation::{Installation, Server};
use crate::process::Process;

/// The binary with these words, started by a shell that denies nobody anything.
fn command(installation: &Installation, words: &[&str]) -> Command {
    let inner = installation.command(words);
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", "umask 000; exec \"$0\" \"$@\""])
        .arg(inner.get_program())
        .args(inner.get_args())
        .env_clear()
        .env("TMPDIR", installation.directory())
        .current_dir(installation.directory());
    command
}

/// The files of the installation that others may read or write, but for those that a test wrote.
fn open_to_others(installation: &Installation) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(installation.directory()).expect("our folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let is_ours = |path: &PathBuf| !path.ends_with("orgplane.toml") && !path.ends_with("in.csv");
    paths
        .filter(is_ours)
        .filter(|path| mode(path) & 0o077 != 0)
        .collect()
}

fn mode(path: &Path) -> u32 {
    let metadata = std::fs::metadata(path).expect("a file");
    metadata.permissions().mode()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s21_no_file_is_open_to_others() {
    let installation = Installation::new("");
    let nothing: Vec<PathBuf> = Vec::new();
    let server = Server::from(command(&installation, &["serve"]));
    assert_eq!(open_to_others(&installation), nothing);
    let path = |name: &str| installation.directory().join(name);
    let event = "id,timestamp,type,project_id\n\"\",1,completions,proj_1\n";
    std::fs::write(path("in.csv"), event).expect("our folder");
    for words in [
        &["usage", "export", "--output", "out.csv"][..],
        &["usage", "import", "in.csv", "--rejected", "rejected.ndjson"],
    ] {
        Process::start(command(&installation, words)).ended();
    }
    assert!(path("out.csv").exists() && path("rejected.ndjson").exists());
    assert_eq!(open_to_others(&installation), nothing);
    server.stop();

    // Those of an earlier version were open.
    let made = ["orgplane.db", "orgplane-usage.db", "orgplane.secret"].map(path);
    let files: Vec<&PathBuf> = made.iter().filter(|path| path.exists()).collect();
    for path in &files {
        let open = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(path, open).expect("our folder");
    }
    let server = Server::from(command(&installation, &["serve"]));
    assert_eq!(open_to_others(&installation), nothing);
    let log = server.process.stderr();
    let lines = log.lines().filter(|line| line.contains("made private"));
    assert_eq!(lines.count(), files.len(), "{log}");
    server.stop();
}
