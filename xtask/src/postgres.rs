//! A PostgreSQL server for one run of the tests or of a measurement, removed after the run however it ends.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

use crate::environment::{install, is_root, program, workshop};
use crate::step::{output, say, succeeds};

/// Lines of `postgresql.conf`: TCP on the loopback address instead of a socket, whose path could be too long.
const ADDRESS: &str = "
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
";

/// Settings of tests. No data outlives the run, so no write waits for the disk.
const TEST_SETTINGS: &str = "
max_connections = 400
shared_buffers = '128MB'
fsync = off
synchronous_commit = off
full_page_writes = off
max_wal_size = '256MB'
min_wal_size = '32MB'
";

/// Settings of measurements: every commit waits for the disk, as it does by default.
const DURABLE_SETTINGS: &str = "
shared_buffers = '1GB'
max_wal_size = '4GB'
";

/// Folder in memory that most Linux systems have. Making and dropping the files of a database takes a tenth of the time there.
const MEMORY_FOLDER: &str = "/dev/shm";
/// Minimum free space of the folder in memory, in KiB, and free memory: with its log, a cluster of the tests stays far below.
const MIN_FREE_KIB: u64 = 2 * 1024 * 1024;

/// Shell script that waits for the end of its standard input, which the kernel closes when xtask is killed, then stops
/// the server and removes its files.
const KEEPER: &str = r#"
trap '' INT TERM HUP
read -r line
folder=$1
shift
"$@" -D "${folder:?}/data" -m immediate -w stop
rm -rf "${folder:?}"
"#;

/// A running server. Dropping it stops the server.
pub struct Postgres {
    password: String,
    port: u16,
    folder: PathBuf,
    psql: PathBuf,
    keeper: Child,
}

impl Postgres {
    /// Makes a cluster for tests and starts it on a free port of the loopback address.
    pub fn start(root: &Path, programs: &Path) -> Result<Self> {
        let owner = Owner::find();
        let folder = owner.folder(root, has_memory())?;
        Self::make(&owner, programs, folder, TEST_SETTINGS)
    }

    /// Makes a cluster on the disk whose commits are durable, and starts it on a free port of the loopback address.
    pub fn start_durable(root: &Path, programs: &Path) -> Result<Self> {
        let owner = Owner::find();
        let folder = owner.folder(root, false)?;
        Self::make(&owner, programs, folder, DURABLE_SETTINGS)
    }

    fn make(owner: &Owner, programs: &Path, folder: PathBuf, settings: &str) -> Result<Self> {
        let mut server = Self {
            password: password()?,
            port: 0,
            keeper: keeper(owner, programs, &folder)?,
            folder,
            psql: psql(programs),
        };
        let folder = &server.folder;
        fs::write(folder.join("password"), &server.password)?;
        owner.take(folder)?;
        initialise(owner, programs, folder, settings)?;
        server.port = listen(owner, programs, folder)?;
        say(&format!(
            "PostgreSQL listens on 127.0.0.1:{}, its files are in {}",
            server.port,
            folder.display()
        ));
        Ok(server)
    }

    /// Returns the URL of a user that may create databases.
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// Returns the URL of a database.
    pub fn url_of(&self, database: &str) -> String {
        let Self { password, port, .. } = self;
        format!("postgres://orgplane:{password}@127.0.0.1:{port}/{database}")
    }

    /// Runs a statement in a database; returns the values of its rows, a line each.
    pub fn run(&self, database: &str, statement: &str) -> Result<String> {
        let mut psql = Command::new(&self.psql);
        psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"]);
        psql.args([
            "--host=127.0.0.1",
            "--username=orgplane",
            "--set=ON_ERROR_STOP=1",
        ]);
        psql.arg(format!("--port={}", self.port));
        psql.args([&format!("--dbname={database}"), "--command", statement]);
        output(psql.env("PGPASSWORD", &self.password))
    }

    /// Returns the id of the server's first process, the parent of all others.
    pub fn process(&self) -> Result<u32> {
        let text = fs::read_to_string(self.folder.join("data/postmaster.pid"))?;
        let id = text
            .lines()
            .next()
            .and_then(|line| line.trim().parse().ok());
        id.context("postmaster.pid has no process id")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        if let Err(error) = self.keeper.wait() {
            say(&format!(
                "the PostgreSQL server may still be running: {error}"
            ));
        }
    }
}

/// Returns the folder with the server's programs, which are installed if there is none.
pub fn programs() -> Result<PathBuf> {
    if let Some(found) = find() {
        return Ok(found);
    }
    install(
        &["postgresql"],
        "the PostgreSQL server (initdb, pg_ctl and postgres, 14 or newer)",
    )?;
    find().context("the system's packages do not bring the PostgreSQL server")
}

fn find() -> Option<PathBuf> {
    let complete = |folder: &PathBuf| {
        ["initdb", "pg_ctl", "postgres"]
            .iter()
            .all(|name| folder.join(name).is_file())
    };
    let on_path = program("initdb").and_then(|file| file.parent().map(Path::to_owned));
    on_path
        .filter(complete)
        .or_else(|| packaged().into_iter().rev().find(complete))
}

/// Returns the client, which packages may keep apart from the server.
fn psql(programs: &Path) -> PathBuf {
    let beside = programs.join("psql");
    if beside.is_file() {
        return beside;
    }
    program("psql").unwrap_or(beside)
}

/// Returns the folders in which Debian keeps the programs of each version, oldest first.
fn packaged() -> Vec<PathBuf> {
    let Ok(versions) = fs::read_dir("/usr/lib/postgresql") else {
        return Vec::new();
    };
    let mut found: Vec<_> = versions
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .collect();
    found.sort_by_key(|path| {
        let version = path
            .parent()
            .and_then(Path::file_name)
            .and_then(|name| name.to_str());
        version
            .and_then(|name| name.parse::<u32>().ok())
            .unwrap_or(0)
    });
    found
}

/// User that runs the server: PostgreSQL refuses to be run by root.
struct Owner {
    other: Option<&'static str>,
}

impl Owner {
    fn find() -> Self {
        let exists = |name: &&str| succeeds(Command::new("id").args(["-u", *name]));
        Self {
            other: if is_root() {
                ["postgres", "nobody"].into_iter().find(exists)
            } else {
                None
            },
        }
    }

    /// Returns the words before a command that make it run as the owner.
    fn prefix(&self) -> Vec<&'static str> {
        self.other
            .map_or(Vec::new(), |name| vec!["runuser", "-u", name, "--"])
    }

    fn command(&self, file: &Path) -> Command {
        let mut words = self.prefix().into_iter();
        let mut command = match words.next() {
            Some(first) => Command::new(first),
            None => Command::new(file),
        };
        if self.other.is_some() {
            command.args(words).arg(file);
        }
        command.current_dir("/");
        command
    }

    /// Creates an empty folder that the owner can reach: in memory if wanted, else in the checkout if possible, else among
    /// the temporary files.
    fn folder(&self, root: &Path, is_in_memory: bool) -> Result<PathBuf> {
        let shop = workshop(root);
        fs::create_dir_all(&shop)?;
        let is_reachable = succeeds(self.command(Path::new("test")).arg("-x").arg(&shop));
        let (place, name) = if is_in_memory {
            (PathBuf::from(MEMORY_FOLDER), "orgplane-postgres")
        } else if is_reachable {
            (shop, "postgres")
        } else {
            (std::env::temp_dir(), "orgplane-postgres")
        };
        let folder = place.join(format!("{name}-{}", std::process::id()));
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(folder)
    }

    fn take(&self, folder: &Path) -> Result<()> {
        if let Some(name) = self.other {
            output(Command::new("chown").args(["-R", name]).arg(folder))?;
        }
        Ok(())
    }
}

/// True if the folder in memory has enough space, and the machine enough memory.
fn has_memory() -> bool {
    let space = output(Command::new("df").args(["--output=fstype,avail", MEMORY_FOLDER]));
    let memory = fs::read_to_string("/proc/meminfo");
    free_in_memory(&space.unwrap_or_default(), &memory.unwrap_or_default())
        .is_some_and(|free| free >= MIN_FREE_KIB)
}

/// Reads the smaller of the free space that `df` prints of a file system in memory, and the free memory, in KiB.
fn free_in_memory(space: &str, memory: &str) -> Option<u64> {
    let mut words = space.lines().nth(1)?.split_whitespace();
    if words.next()? != "tmpfs" {
        return None;
    }
    let space: u64 = words.next()?.parse().ok()?;
    let line = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let memory: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(space.min(memory))
}

fn keeper(owner: &Owner, programs: &Path, folder: &Path) -> Result<Child> {
    let mut command = Command::new("sh");
    command
        .args(["-c", KEEPER, "sh"])
        .arg(folder)
        .args(owner.prefix())
        .arg(programs.join("pg_ctl"));
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .current_dir("/")
        .process_group(0);
    command.spawn().context("cannot start a shell")
}

fn initialise(owner: &Owner, programs: &Path, folder: &Path, settings: &str) -> Result<()> {
    let mut command = owner.command(&programs.join("initdb"));
    command
        .arg("-D")
        .arg(folder.join("data"))
        .arg("--pwfile")
        .arg(folder.join("password"));
    command.args([
        "--username=orgplane",
        "--auth=password",
        "--encoding=UTF8",
        "--locale=C",
        "--no-sync",
    ]);
    output(&mut command)?;
    let file = folder.join("data/postgresql.conf");
    append(&file, ADDRESS)?;
    append(&file, settings)
}

/// Starts the server; another process may take the free port first, so it is tried more than once.
fn listen(owner: &Owner, programs: &Path, folder: &Path) -> Result<u16> {
    let mut tries = 3;
    loop {
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        append(
            &folder.join("data/postgresql.conf"),
            &format!("port = {port}\n"),
        )?;
        let mut command = owner.command(&programs.join("pg_ctl"));
        command
            .arg("-D")
            .arg(folder.join("data"))
            .arg("-l")
            .arg(folder.join("log"))
            .args(["-w", "start"]);
        let Err(error) = output(&mut command) else {
            return Ok(port);
        };
        tries -= 1;
        if tries == 0 {
            return Err(error.context(fs::read_to_string(folder.join("log")).unwrap_or_default()));
        }
    }
}

fn append(file: &Path, text: &str) -> Result<()> {
    fs::OpenOptions::new()
        .append(true)
        .open(file)?
        .write_all(text.as_bytes())?;
    Ok(())
}

fn password() -> Result<String> {
    let mut bytes = [0; 16];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_memory_is_what_both_the_folder_and_the_machine_have() {
        let space = "Type    Avail\ntmpfs 3000000\n";
        let memory = "MemTotal:       9000000 kB\nMemAvailable:    2500000 kB\n";
        assert_eq!(free_in_memory(space, memory), Some(2_500_000));
        let small = "Type Avail\ntmpfs 65536\n";
        assert_eq!(free_in_memory(small, memory), Some(65_536));
        assert_eq!(free_in_memory("Type Avail\next4 3000000\n", memory), None);
        assert_eq!(free_in_memory(space, ""), None);
    }
}
