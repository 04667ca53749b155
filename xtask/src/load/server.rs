//! The program under test, started as an operator would, and what its own reports say.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::bench::{Bench, confined, pause};
use super::http::Client;
use super::process::Process;
use crate::step::instant;

/// The admin key of every server that is started here.
pub const ADMIN_KEY: &str = "sk-admin-for-measurements-only-0123456789abcdefghijklmnop";
/// The model that answers in one piece.
pub const MODEL: &str = "gpt-5-mini";
/// The model that answers in a stream.
pub const STREAMING_MODEL: &str = "gpt-5-nano";
/// The model whose stream takes about half a minute.
pub const SLOW_MODEL: &str = "gpt-5";
/// The highest limit that can be set.
const HIGHEST_LIMIT: u64 = 9_007_199_254_740_991;
const SECONDS_PER_DAY: u64 = 86_400;
/// Name of the database's file.
const FILE: &str = "load.db";
/// Name of the file with the secret that keys are hashed with.
const SECRET_FILE: &str = "orgplane.secret";
/// Time in which usage must be in the reports.
const METERING_TIMEOUT: Duration = Duration::from_secs(10);

/// A running `orgplane`.
pub struct Server {
    /// Address that the server listens on: `host:port`.
    pub address: String,
    /// Its process.
    pub process: Process,
    site: Site,
}

/// The place of a server's data.
#[derive(Clone)]
struct Site {
    folder: PathBuf,
    /// URL of the database.
    database: String,
    /// Name of the database in PostgreSQL; `None` for a file.
    name: Option<String>,
}

/// Counts of the usage report since the start of the day before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metered {
    /// Rows of the ledger, of which each counts one request.
    pub requests: u64,
    /// Tokens that went in.
    pub input: u64,
    /// Tokens that came out.
    pub output: u64,
}

impl Server {
    /// Starts one on an empty database, configured like this.
    pub fn start(
        bench: &Bench,
        name: &str,
        core: Option<u32>,
        configuration: &str,
    ) -> Result<Self> {
        let folder = bench.room(name)?;
        fs::write(folder.join("orgplane.toml"), configuration)?;
        let (database, name) = match bench.engine.postgres() {
            None => (format!("sqlite://{}", folder.join(FILE).display()), None),
            Some(postgres) => {
                let name = format!("load_{}", name.replace('-', "_"));
                postgres.run("postgres", &format!("DROP DATABASE IF EXISTS {name}"))?;
                postgres.run("postgres", &format!("CREATE DATABASE {name}"))?;
                (postgres.url_of(&name), Some(name))
            }
        };
        let site = Site {
            folder,
            database,
            name,
        };
        Self::open(bench, site, core, "log")
    }

    /// Starts one on an empty file of SQLite, of which each commit waits for the disk.
    pub fn start_synchronous(bench: &Bench, name: &str, core: Option<u32>) -> Result<Self> {
        let folder = bench.room(name)?;
        let site = Site {
            database: format!("sqlite://{}?synchronous=full", folder.join(FILE).display()),
            folder,
            name: None,
        };
        Self::open(bench, site, core, "log")
    }

    /// Starts it again on the database it had.
    pub fn restart(self, bench: &Bench, core: Option<u32>) -> Result<Self> {
        self.process.stop()?;
        Self::open(bench, self.site, core, "log")
    }

    /// Starts it again after `work` on its database, the file of the administrative data.
    pub fn restart_after(
        self,
        bench: &Bench,
        core: Option<u32>,
        work: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<Self> {
        self.process.stop()?;
        work(&self.site.folder.join(FILE))?;
        Self::open(bench, self.site, core, "log")
    }

    /// Starts another one on the same database.
    pub fn join(&self, bench: &Bench, core: Option<u32>) -> Result<Self> {
        Self::open(bench, self.site.clone(), core, "log-of-another")
    }

    fn open(bench: &Bench, site: Site, core: Option<u32>, log: &str) -> Result<Self> {
        let mut command = confined(&bench.binary, core);
        let own = std::env::vars_os().map(|(name, _)| name);
        for name in own.filter(|name| name.to_string_lossy().starts_with("ORGPLANE_")) {
            command.env_remove(name);
        }
        command.env("ORGPLANE_BOOTSTRAP_ADMIN_KEY", ADMIN_KEY);
        command.env("ORGPLANE_SECRET_FILE", site.folder.join(SECRET_FILE));
        command.env("ORGPLANE_DATABASE_URL", &site.database);
        command.args(["serve", "--listen", "127.0.0.1:0"]);
        command.current_dir(&site.folder);
        let log = site.folder.join(log);
        let mut process = Process::start(&mut command, &log)?;
        let says = process.says("Listening on http://");
        let address = says.with_context(|| fs::read_to_string(&log).unwrap_or_default())?;
        Ok(Self {
            address,
            process,
            site,
        })
    }

    /// Opens a connection with the admin key.
    pub fn admin(&self) -> Result<Client> {
        Client::connect(&self.address, ADMIN_KEY)
    }

    /// Makes a project; returns its id.
    pub fn project(&self, admin: &mut Client, name: &str) -> Result<String> {
        let made = admin.call("/v1/organization/projects", &json!({ "name": name }))?;
        text(&made, "/id")
    }

    /// Lets a project call the models as often as it can: no limit stands in the way of a measurement.
    pub fn unlimited(&self, admin: &mut Client, project: &str) -> Result<()> {
        for model in [MODEL, STREAMING_MODEL, SLOW_MODEL] {
            let path = format!("/v1/organization/projects/{project}/rate_limits/rl-{model}");
            let limits = json!({
                "max_requests_per_1_minute": HIGHEST_LIMIT,
                "max_tokens_per_1_minute": HIGHEST_LIMIT,
                "max_requests_per_1_day": HIGHEST_LIMIT,
            });
            admin.call(&path, &limits)?;
        }
        Ok(())
    }

    /// Makes a service account; returns its key.
    pub fn key(&self, admin: &mut Client, project: &str, name: &str) -> Result<String> {
        let path = format!("/v1/organization/projects/{project}/service_accounts");
        let made = admin.call(&path, &json!({ "name": name }))?;
        text(&made, "/api_key/value")
    }

    /// Returns the counts of the usage report.
    pub fn metered(&self, admin: &mut Client) -> Result<Metered> {
        let today = now() / SECONDS_PER_DAY * SECONDS_PER_DAY;
        let (start, end) = (today - SECONDS_PER_DAY, today + 2 * SECONDS_PER_DAY);
        let path = format!(
            "/v1/organization/usage/completions?start_time={start}&end_time={end}&limit=31"
        );
        let report: Value = serde_json::from_slice(&admin.get(&path)?)?;
        let mut metered = Metered::default();
        for result in results(&report) {
            let number = |name: &str| result[name].as_u64().unwrap_or(0);
            metered.requests += number("num_model_requests");
            metered.input += number("input_tokens");
            metered.output += number("output_tokens");
        }
        Ok(metered)
    }

    /// Returns the counts of the usage report once it has at least so many requests and no more come in.
    pub fn settled(&self, admin: &mut Client, at_least: u64) -> Result<Metered> {
        let begun = instant();
        let (mut last, mut since) = (self.metered(admin)?, instant());
        loop {
            pause();
            let current = self.metered(admin)?;
            if current != last {
                (last, since) = (current, instant());
            }
            if last.requests >= at_least && since.elapsed() > Duration::from_millis(500) {
                return Ok(last);
            }
            if begun.elapsed() > METERING_TIMEOUT {
                bail!("{at_least} requests were answered, the ledger has {last:?}");
            }
        }
    }

    /// Stops it and removes all that it has written.
    pub fn remove(self, bench: &Bench) -> Result<()> {
        self.process.stop()?;
        if let Some((postgres, name)) = bench.engine.postgres().zip(self.site.name) {
            postgres.run("postgres", &format!("DROP DATABASE {name}"))?;
        }
        Ok(fs::remove_dir_all(self.site.folder)?)
    }

    /// Returns its working directory.
    pub fn folder(&self) -> &Path {
        &self.site.folder
    }

    /// Returns the URL of its database.
    pub fn database(&self) -> &str {
        &self.site.database
    }

    /// Returns the bytes of its databases, to be read after a restart.
    pub fn bytes(&self, bench: &Bench) -> Result<u64> {
        let Some((postgres, name)) = bench.engine.postgres().zip(self.site.name.as_ref()) else {
            return size(&self.site.folder);
        };
        let bytes = postgres.run(name, "SELECT pg_database_size(current_database())")?;
        Ok(bytes.trim().parse()?)
    }
}

/// Returns the configuration that has this model server behind it.
pub fn upstreams(address: &str) -> String {
    let entry = |name: &str, base: &str, model: &str| {
        format!(
            "[[upstream]]\nname = \"{name}\"\nbase_url = \"http://{address}{base}\"\nmodels = [\"{model}\"]\n"
        )
    };
    entry("whole", "/v1", MODEL)
        + &entry("streaming", "/stream/v1", STREAMING_MODEL)
        + &entry("slow", "/slow/v1", SLOW_MODEL)
}

/// Returns the bytes of all files in a folder and in the folders in it.
fn size(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let found = entry.metadata()?;
        bytes += if found.is_dir() {
            size(&entry.path())?
        } else {
            found.len()
        };
    }
    Ok(bytes)
}

/// Returns the results of all buckets of a report.
pub fn results(report: &Value) -> impl Iterator<Item = &Value> {
    let buckets = report["data"].as_array().into_iter().flatten();
    buckets.flat_map(|bucket| bucket["results"].as_array().into_iter().flatten())
}

/// Seconds since 1970.
#[expect(
    clippy::disallowed_methods,
    reason = "a tool has no clock that a test would set"
)]
pub fn now() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH);
    elapsed.map_or(0, |elapsed| elapsed.as_secs())
}

/// Returns the version that the binary prints.
pub fn version(binary: &Path) -> Result<String> {
    let text = crate::step::output(std::process::Command::new(binary).arg("--version"))?;
    Ok(text.trim().to_owned())
}

pub fn text(value: &Value, pointer: &str) -> Result<String> {
    let text = value.pointer(pointer).and_then(Value::as_str);
    Ok(text
        .with_context(|| format!("{value} has no {pointer}"))?
        .to_owned())
}
