//! PostgreSQL servers for tests that configure, stop or pause the server.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Settings of every server. Tests do not survive a power failure, so nothing waits for the disk.
const SETTINGS: &str = "
listen_addresses = 'localhost'
unix_socket_directories = ''
shared_buffers = '16MB'
fsync = off
synchronous_commit = on
full_page_writes = off
";

/// A shell script that waits until its standard input is closed, also by the death of the test's process, then stops the
/// server and removes its files.
const KEEPER: &str = r#"
trap '' INT TERM HUP
read -r line
folder=$1
shift
kill -CONT "$(head -n 1 "$folder/data/postmaster.pid")"
"$@" -D "${folder:?}/data" -m immediate -w stop
rm -rf "${folder:?}"
"#;

/// A running server, stopped when dropped or when the process ends.
pub struct Cluster {
    folder: PathBuf,
    programs: PathBuf,
    owner: Option<&'static str>,
    password: String,
    port: u16,
    keeper: Child,
}

impl Cluster {
    /// Starts a server with `settings` at the end of its `postgresql.conf` and `hba` as its `pg_hba.conf`; `files` go into
    /// its data directory, readable by the server only. `None` if PostgreSQL is not installed and
    /// `ORGPLANE_TEST_DATABASE` is unset.
    ///
    /// # Panics
    /// The server cannot be started.
    #[must_use]
    pub fn start(settings: &str, hba: &str, files: &[(&str, &str)]) -> Option<Self> {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let Some(programs) = programs() else {
            let asked = std::env::var_os("ORGPLANE_TEST_DATABASE").is_some();
            assert!(!asked, "initdb, pg_ctl and postgres are not installed");
            return None;
        };
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("orgplane-cluster-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        drop(fs::remove_dir_all(&folder));
        let made = fs::DirBuilder::new().mode(0o700).create(&folder);
        made.expect("the temporary directory can be written");
        let password = fs::read_to_string("/proc/sys/kernel/random/uuid").expect("randomness");
        let owner = owner();
        let mut cluster = Self {
            keeper: keeper(owner, &programs, &folder),
            password: password.trim().to_owned(),
            port: 0,
            folder,
            programs,
            owner,
        };
        cluster.initialise(settings, hba, files);
        cluster.listen();
        Some(cluster)
    }

    /// Returns the server's data directory.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Returns the port on the loopback addresses.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the URL of the database `postgres` for `user`, with the superuser's password.
    #[must_use]
    pub fn url(&self, user: &str, host: &str) -> String {
        let (password, port) = (&self.password, self.port);
        format!("postgres://{user}:{password}@{host}:{port}/postgres")
    }

    /// Runs one of PostgreSQL's programs as the server's user.
    ///
    /// # Panics
    /// The program fails.
    pub fn run(&self, program: &str, words: &[&str]) {
        let mut command = as_owner(self.owner, &self.programs.join(program));
        command
            .args(words)
            .env("PGPASSWORD", &self.password)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let output = command.output().expect("a program of PostgreSQL");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {words:?}: {told}");
    }

    /// Executes statements in a database as the superuser, in order. Those in one text are one transaction.
    ///
    /// # Panics
    /// A statement fails.
    pub fn execute(&self, database: &str, statements: &[&str]) {
        let port = self.port.to_string();
        let mut words = vec![
            "-h",
            "localhost",
            "-p",
            &port,
            "-U",
            "orgplane",
            "-d",
            database,
        ];
        for statement in statements {
            words.extend(["-c", statement]);
        }
        self.run("psql", &words);
    }

    /// Stops the server at once, as a crash does.
    pub fn stop(&self) {
        self.control(&["-m", "immediate", "-w", "stop"]);
    }

    /// Starts a server that was stopped, on the same port.
    pub fn restart(&self) {
        let log = self.folder.join("log");
        self.control(&["-l", &log.display().to_string(), "-w", "start"]);
    }

    /// Pauses every process of the server: connections stay open without answers.
    pub fn pause(&self) {
        self.signal("STOP");
    }

    /// Ends a pause.
    pub fn resume(&self) {
        self.signal("CONT");
    }

    fn control(&self, words: &[&str]) {
        let data = self.data().display().to_string();
        self.run("pg_ctl", &[&["-D", data.as_str()], words].concat());
    }

    fn signal(&self, signal: &str) {
        let file = fs::read_to_string(self.data().join("postmaster.pid"));
        let file = file.expect("the server runs");
        let server = file.lines().next().expect("a process id").to_owned();
        let mut processes = vec![server.clone()];
        processes.extend(children(&server));
        let status = Command::new("kill")
            .arg(format!("-{signal}"))
            .args(&processes)
            .status();
        // A backend may have ended meanwhile.
        status.expect("kill");
    }

    fn initialise(&self, settings: &str, hba: &str, files: &[(&str, &str)]) {
        fs::write(self.folder.join("password"), &self.password).expect("our folder");
        self.give(&self.folder);
        let (data, password) = (self.data(), self.folder.join("password"));
        let words = [
            "-D",
            data.to_str().expect("UTF-8"),
            "--pwfile",
            password.to_str().expect("UTF-8"),
            "--username=orgplane",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        ];
        self.run("initdb", &words);
        append(&data.join("postgresql.conf"), SETTINGS);
        append(&data.join("postgresql.conf"), settings);
        if !hba.is_empty() {
            fs::write(data.join("pg_hba.conf"), hba).expect("our folder");
        }
        for (name, text) in files {
            let file = data.join(name);
            let mut options = fs::OpenOptions::new();
            let opened = options.write(true).create_new(true).mode(0o600).open(&file);
            let written = opened.and_then(|mut file| file.write_all(text.as_bytes()));
            written.expect("our folder");
        }
        self.give(&self.folder);
    }

    /// Starts the server on a free port, in several attempts, since another process may take the port first.
    fn listen(&mut self) {
        let log = self.folder.join("log").display().to_string();
        let data = self.data().display().to_string();
        for attempt in 1..=3 {
            let free = TcpListener::bind(("127.0.0.1", 0)).and_then(|bound| bound.local_addr());
            self.port = free.expect("a free port").port();
            let port = format!("port = {}\n", self.port);
            append(&self.data().join("postgresql.conf"), &port);
            let mut command = as_owner(self.owner, &self.programs.join("pg_ctl"));
            command
                .args(["-D", &data, "-l", &log, "-w", "start"])
                .current_dir("/")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            if command.status().is_ok_and(|status| status.success()) {
                return;
            }
            let told = fs::read_to_string(&log).unwrap_or_default();
            assert!(attempt < 3, "PostgreSQL does not start: {told}");
        }
    }

    fn give(&self, folder: &Path) {
        if let Some(name) = self.owner {
            let mut command = Command::new("chown");
            let status = command.args(["-R", name]).arg(folder).status();
            assert!(status.is_ok_and(|status| status.success()), "chown {name}");
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        drop(self.keeper.wait());
    }
}

fn append(file: &Path, text: &str) {
    let opened = fs::OpenOptions::new().append(true).open(file);
    let written = opened.and_then(|mut file| file.write_all(text.as_bytes()));
    written.expect("our folder");
}

/// Returns the child processes of `parent`.
fn children(parent: &str) -> Vec<String> {
    let entries = fs::read_dir("/proc").expect("/proc");
    let names = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok());
    let is_child = |id: &String| {
        // The state and the parent follow the name, which is in parentheses and may contain any character.
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
        fields.split(' ').nth(1) == Some(parent)
    };
    let is_process = |id: &String| id.bytes().all(|byte| byte.is_ascii_digit());
    names.filter(is_process).filter(is_child).collect()
}

/// Returns the user that runs the server if this process is root's, since PostgreSQL refuses to be run by root.
fn owner() -> Option<&'static str> {
    let is_root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    let exists = |name: &&str| {
        let mut command = Command::new("id");
        command.args(["-u", *name]).stdout(Stdio::null());
        command
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };
    is_root
        .then(|| ["postgres", "nobody"].into_iter().find(exists))
        .flatten()
}

fn as_owner(owner: Option<&str>, program: &Path) -> Command {
    let Some(owner) = owner else {
        return Command::new(program);
    };
    let mut command = Command::new("runuser");
    command.args(["-u", owner, "--"]).arg(program);
    command
}

fn keeper(owner: Option<&str>, programs: &Path, folder: &Path) -> Child {
    let mut command = Command::new("sh");
    command.args(["-c", KEEPER, "sh"]).arg(folder);
    if let Some(owner) = owner {
        command.args(["runuser", "-u", owner, "--"]);
    }
    command
        .arg(programs.join("pg_ctl"))
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.spawn().expect("a shell")
}

/// Returns the folder with the server's programs: Debian's for the newest version, or one on the search path.
fn programs() -> Option<PathBuf> {
    let is_complete = |folder: &PathBuf| {
        let is_program = |name: &&str| {
            let metadata = fs::metadata(folder.join(name));
            metadata.is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
        };
        ["initdb", "pg_ctl", "postgres", "psql"]
            .iter()
            .all(is_program)
    };
    let mut packaged: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    packaged.sort();
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let on_path: Vec<PathBuf> = std::env::split_paths(&on_path).collect();
    let newest = packaged.into_iter().rev().map(|(_, folder)| folder);
    newest.chain(on_path).find(is_complete)
}
