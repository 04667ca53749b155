//! A stored installation: the content of its database, its secret, and what is known of it.
//!
//! A version's folder has `sqlite-*.gz` and `postgres-*.gz`. SQLite's files are stored as they are, PostgreSQL's database
//! as the statements that make it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::installation::Installation;

const KNOWN: &str = "known.json";
const STATEMENTS: &str = "statements.sql";
const SQLITE_FILES: [&str; 2] = ["orgplane.db", "orgplane-usage.db"];

/// Facts about a stored installation.
#[derive(Default, Deserialize, Serialize)]
pub(super) struct Known {
    /// Content of the secret file.
    pub(super) secret: String,
    pub(super) admin_key: String,
    /// Key of a service account that may call models.
    pub(super) project_key: String,
    /// Request whose body is kept.
    pub(super) request_id: String,
    /// Answers of the Administration API, by path.
    pub(super) answers: BTreeMap<String, Value>,
}

/// A stored installation.
#[derive(Default)]
pub(super) struct Fixture {
    pub(super) known: Known,
    /// Content of the database, by the names of the files.
    files: BTreeMap<String, Vec<u8>>,
}

impl Fixture {
    /// Takes over the content of an installation whose server has stopped.
    pub(super) fn read_content(&mut self, installation: &Installation) {
        let secret = fs::read_to_string(installation.secret_file());
        self.known.secret = secret.expect("a secret");
        let url = installation.database_url();
        if url.starts_with("postgres") {
            self.files.insert(STATEMENTS.to_owned(), dump(&url));
            return;
        }
        for name in SQLITE_FILES {
            let content = fs::read(installation.directory().join(name));
            self.files
                .insert(name.to_owned(), content.expect("a file of the database"));
        }
    }

    /// Makes an installation that has no database yet what this one was.
    pub(super) fn restore(&self, installation: &Installation) {
        fs::write(installation.secret_file(), &self.known.secret).expect("a secret");
        private(&installation.secret_file());
        let url = installation.database_url();
        for (name, content) in &self.files {
            if name == STATEMENTS {
                testkit::execute(&url, std::str::from_utf8(content).expect("text"));
            } else {
                let file = installation.directory().join(name);
                fs::write(&file, content).expect("a file of the database");
                private(&file);
            }
        }
    }

    /// Stores it in a version's folder, for the kind of database that this run of the tests is for.
    pub(super) fn write(&self, folder: &Path) {
        fs::create_dir_all(folder).expect("a folder");
        let known = serde_json::to_vec(&self.known).expect("JSON");
        let files = self
            .files
            .iter()
            .map(|(name, content)| (name.as_str(), content));
        for (name, content) in files.chain([(KNOWN, &known)]) {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
            encoder.write_all(content).expect("memory");
            let packed = encoder.finish().expect("memory");
            let file = folder.join(format!("{}-{name}.gz", kind()));
            fs::write(file, packed).expect("a file");
        }
    }

    /// Reads it from a version's folder.
    pub(super) fn read(folder: &Path) -> Self {
        let mut fixture = Self::default();
        let prefix = format!("{}-", kind());
        for entry in fs::read_dir(folder).expect("a stored version") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().and_then(|name| name.to_str());
            let name = name.and_then(|name| name.strip_prefix(&prefix)?.strip_suffix(".gz"));
            let Some(name) = name else {
                continue;
            };
            let mut content = Vec::new();
            let mut decoder = GzDecoder::new(fs::File::open(&path).expect("a file"));
            decoder.read_to_end(&mut content).expect("a packed file");
            if name == KNOWN {
                fixture.known = serde_json::from_slice(&content).expect("JSON");
            } else {
                fixture.files.insert(name.to_owned(), content);
            }
        }
        assert!(!fixture.files.is_empty(), "{}", folder.display());
        fixture
    }
}

/// Returns the kind of database that this run of the tests is for.
fn kind() -> &'static str {
    let url = std::env::var("ORGPLANE_TEST_DATABASE").unwrap_or_default();
    if url.starts_with("postgres") {
        "postgres"
    } else {
        "sqlite"
    }
}

/// Takes the rights of others at a file away, as the program does.
fn private(file: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::Permissions::from_mode(0o600);
    fs::set_permissions(file, mode).expect("a file of our own");
}

/// Returns the statements that make the database, in SQL that servers of every version take.
fn dump(url: &str) -> Vec<u8> {
    let mut command = Command::new("pg_dump");
    command.args(["--no-owner", "--no-privileges", "--inserts"]);
    command.args(["--rows-per-insert=100", "--schema=public", url]);
    let output = command.output().expect("pg_dump");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let text = String::from_utf8(output.stdout).expect("text");
    let unwanted = [
        "SET ",
        "SELECT pg_catalog.set_config",
        "\\",
        "-- ",
        "COMMENT ON SCHEMA",
        "CREATE SCHEMA",
    ];
    let lines = text.lines().filter(|line| {
        let is_unwanted = unwanted.iter().any(|beginning| line.starts_with(beginning));
        !matches!(*line, "" | "--") && !is_unwanted
    });
    lines
        .flat_map(|line| [line, "\n"])
        .collect::<String>()
        .into_bytes()
}
