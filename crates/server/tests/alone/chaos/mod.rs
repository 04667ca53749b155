//! Two minutes of mixed traffic while everything around the server fails in turn: the reader of its log, its disk, its
//! database, its model server. Afterwards every request that was answered is in the ledger once, everything that was
//! acknowledged is there, the server is the one that was started, and readiness told the truth all the time.

mod log_pipe;
mod readiness;
mod traffic;
mod upstream;

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use base::Clock;
use poll::ScenarioDelay;
use serde_json::{Value, json};
use store::Store;
use testkit::Cluster;
use tokio::time::Instant;

use crate::dice::Dice;
use crate::installation::{Installation, Server};
use crate::machine;
use crate::small_disk::Disk;
use log_pipe::{LogPipe, Reader};
use readiness::{Outage, Watch};
use traffic::Traffic;
use upstream::Upstream;

/// The time for which things fail, unless `ORGPLANE_TEST_CHAOS_SECONDS` says otherwise.
const DEFAULT_DURATION: Duration = Duration::from_secs(120);
/// The bounds of the time for which something fails, and of that until the next thing does, in milliseconds.
const FAULT: (u64, u64) = (6_500, 10_000);
const CALM: (u64, u64) = (500, 2_500);
/// The time within which the server is ready after a fault, on a machine that does other things too.
const RECOVERY_TIMEOUT: Duration = Duration::from_secs(60);
/// The size of the disk that the database is on.
const DISK_CAPACITY: u32 = 128;

/// A kind of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    LogReaderGone,
    LogReaderStalls,
    Garbage,
    DiskFull,
    /// Another process has the lock of a SQLite database.
    Locked,
    Restart,
    Hang,
}

/// Directory of the server's data, on a disk of its own if the test may create one.
struct Database {
    url: String,
    /// None where the database is SQLite.
    cluster: Option<Cluster>,
    // Unmounted after the cluster has ended.
    disk: Option<Disk>,
}

/// Everything that can fail.
struct World {
    database: Database,
    log: LogPipe,
    upstream: Upstream,
    dice: Dice,
}

pub fn now() -> i64 {
    Clock::system().now().0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn chaos_loses_nothing_that_was_answered_and_readiness_tells_the_truth() {
    let _machine = machine().await;
    let dice = Dice::thrown();
    let span = std::env::var("ORGPLANE_TEST_CHAOS_SECONDS").ok();
    let span = span.map_or(DEFAULT_DURATION, |seconds| {
        Duration::from_secs(seconds.parse().expect("a number"))
    });
    let upstream = Upstream::start(dice.clone()).await;
    let installation = Installation::new(&upstream.setting());
    let world = World {
        database: Database::new(&installation),
        log: LogPipe::new(installation.directory()),
        upstream,
        dice,
    };
    let server = world.serve(&installation);
    let traffic = world.traffic(&server).await;
    let watch = Watch::start(&server.address);
    let began = Instant::now();
    assert!(watch.says(true, began, RECOVERY_TIMEOUT).await, "it starts");

    let clients = traffic.start();
    let (outages, doubtful) = world.fail_in_turn(&watch, &traffic, span).await;
    traffic.end();
    clients.join_all().await;
    let mut wrong = watch.verdict(&outages, &doubtful);
    wrong.append(&mut traffic.record().wrong);
    wrong.extend(everything_is_there(&traffic).await);
    assert_eq!(wrong, Vec::<String>::new(), "\n{}", world.log.text());

    // The server stops in order: it is the one that was started.
    server.stop();
    let wrong = ledger_has_each_once(&installation, &world.database.url, &traffic);
    assert_eq!(wrong, Vec::<String>::new(), "\n{}", world.log.text());
    assert!(
        !world.log.text().contains("panicked"),
        "{}",
        world.log.text()
    );
    say(&traffic, &outages);
}

impl Database {
    fn new(installation: &Installation) -> Self {
        let disk = Disk::new(DISK_CAPACITY);
        if std::env::var_os("ORGPLANE_TEST_DATABASE").is_some() {
            let cluster = Cluster::start("", "", &[]).expect("PostgreSQL is installed");
            if let Some(disk) = &disk {
                move_tables(&cluster, disk);
            }
            let url = cluster.url("orgplane", "localhost");
            let cluster = Some(cluster);
            return Self { url, cluster, disk };
        }
        let folder = disk.as_ref().map_or(installation.directory(), Disk::path);
        let url = format!("sqlite://{}", folder.join("orgplane.db").display());
        let cluster = None;
        Self { url, cluster, disk }
    }

    fn faults(&self) -> Vec<Fault> {
        let mut faults = vec![Fault::LogReaderGone, Fault::LogReaderStalls, Fault::Garbage];
        faults.extend(self.disk.as_ref().map(|_| Fault::DiskFull));
        match self.cluster {
            None => faults.push(Fault::Locked),
            Some(_) => faults.extend([Fault::Restart, Fault::Hang]),
        }
        faults
    }

    fn cluster(&self) -> &Cluster {
        self.cluster.as_ref().expect("a fault of PostgreSQL")
    }
}

/// Puts the tables of a cluster's first database on a disk. What the cluster logs stays where it is: without room for that,
/// PostgreSQL ends.
fn move_tables(cluster: &Cluster, disk: &Disk) {
    let mut chown = Command::new("chown");
    let mut reference = std::ffi::OsString::from("--reference=");
    reference.push(cluster.data());
    let given = chown.arg(reference).arg(disk.path()).status();
    assert!(given.is_ok_and(|status| status.success()), "chown");
    let make = format!(
        "CREATE TABLESPACE small LOCATION '{}'",
        disk.path().display()
    );
    let take = "ALTER DATABASE postgres SET TABLESPACE small";
    cluster.execute("template1", &[&make, take]);
}

impl World {
    /// Starts the server, whose log goes to the pipe.
    fn serve(&self, installation: &Installation) -> Server {
        let of_binary = installation.command(&[]);
        let mut command = Command::new("sh");
        command
            .args(["-c", "exec \"$0\" serve --database \"$1\" 2>\"$2\""])
            .arg(of_binary.get_program())
            .arg(&self.database.url)
            .arg(self.log.path())
            .env_clear()
            .env("RUST_LOG", "info,requests=debug")
            .current_dir(installation.directory());
        Server::from(command)
    }

    async fn traffic(&self, server: &Server) -> Traffic {
        let key = server.process.line("Admin key (shown only now): ");
        let admin = server.api(&key.expect("a first start prints a key"));
        let (project, key) = admin.application("Application").await;
        let limits = json!({"max_requests_per_1_minute": 1_000_000, "max_requests_per_1_day": 1_000_000_000,
                            "max_tokens_per_1_minute": 1_000_000_000});
        let path = format!("/organization/projects/{project}/rate_limits/rl-cheap");
        admin.post(&path, &limits).await;
        let application = server.api(&key);
        let (dice, garbage) = (self.dice.clone(), self.upstream.garbage());
        Traffic::new(admin, application, project, dice, garbage)
    }

    /// Lets one thing after another fail, each kind as often as any other, in an order that follows from the seed. The times
    /// in which the database was away, and those in which it may have been.
    async fn fail_in_turn(
        &self,
        watch: &Watch,
        traffic: &Traffic,
        span: Duration,
    ) -> (Vec<Outage>, Vec<Outage>) {
        let (mut outages, mut doubtful) = (Vec::new(), Vec::new());
        let (start, mut left) = (Instant::now(), Vec::new());
        while start.elapsed() < span {
            if left.is_empty() {
                left = self.database.faults();
            }
            let fault = left.swap_remove(self.dice.below(left.len() as u64) as usize);
            let began = Instant::now();
            self.fail(fault, watch, traffic).await;
            let outage = Outage {
                began,
                ended: Instant::now(),
            };
            match fault {
                Fault::Locked | Fault::Restart | Fault::Hang => outages.push(outage),
                Fault::DiskFull => doubtful.push(outage),
                Fault::LogReaderGone | Fault::LogReaderStalls | Fault::Garbage => {}
            }
            let is_well = watch.says(true, outage.ended, RECOVERY_TIMEOUT).await;
            assert!(is_well, "not ready after {fault:?}:\n{}", self.log.text());
            ScenarioDelay(self.between(CALM)).elapse().await;
        }
        (outages, doubtful)
    }

    /// Lets something fail for a while.
    async fn fail(&self, fault: Fault, watch: &Watch, traffic: &Traffic) {
        let while_it_fails = ScenarioDelay(self.between(FAULT)).elapse();
        match fault {
            Fault::LogReaderGone => {
                self.log.set(Reader::IsGone);
                while_it_fails.await;
                self.log.set(Reader::Reads);
            }
            Fault::LogReaderStalls => {
                self.log.set(Reader::Stalls);
                while_it_fails.await;
                self.log.set(Reader::Reads);
            }
            Fault::Garbage => {
                self.upstream.send_garbage(true);
                while_it_fails.await;
                self.upstream.send_garbage(false);
            }
            Fault::Locked => {
                let store = Store::open(&self.database.url).await;
                let store = store.expect("the database");
                let administration = store.begin().await.expect("the lock");
                let usage = store.usage().begin().await.expect("the lock");
                while_it_fails.await;
                drop((administration, usage));
            }
            Fault::DiskFull => {
                let disk = self.database.disk.as_ref().expect("there is one");
                let began = Instant::now();
                disk.fill();
                // The log of the database has room that was used before.
                while traffic.make_project().await {}
                assert!(
                    watch.says(false, began, RECOVERY_TIMEOUT).await,
                    "a full disk is not ready"
                );
                while_it_fails.await;
                disk.free();
            }
            Fault::Restart => {
                self.database.cluster().stop();
                while_it_fails.await;
                self.database.cluster().restart();
            }
            Fault::Hang => {
                self.database.cluster().pause();
                while_it_fails.await;
                self.database.cluster().resume();
            }
        }
    }

    fn between(&self, (least, most): (u64, u64)) -> Duration {
        Duration::from_millis(least + self.dice.below(most - least))
    }
}

/// Returns acknowledged changes that the Administration API lacks or has twice.
async fn everything_is_there(traffic: &Traffic) -> Vec<String> {
    let admin = traffic.admin();
    let mut found = BTreeMap::<String, usize>::new();
    for project in admin
        .all("/organization/projects?include_archived=true")
        .await
    {
        let name = project["name"].as_str().expect("a text").to_owned();
        *found.entry(name).or_default() += 1;
    }
    each_once("project", &traffic.record().projects, &found)
}

/// Returns acknowledged requests and events that the ledger lacks or has twice, and verifies its rollups.
fn ledger_has_each_once(installation: &Installation, url: &str, traffic: &Traffic) -> Vec<String> {
    let since = (now() - 3_600).to_string();
    let exported = installation.run(&["usage", "export", "--from", &since, "--database", url]);
    assert_eq!(exported.code, Some(0), "{}", exported.stderr);
    let mut found = BTreeMap::<String, usize>::new();
    for line in exported.stdout.lines() {
        let row: Value = serde_json::from_str(line).expect("a line of JSON");
        let id = row["id"].as_str().expect("a text").to_owned();
        *found.entry(id).or_default() += 1;
    }
    let record = traffic.record();
    let answered = record.answered.iter().map(|(id, _)| (id.clone(), true));
    let mut wrong = each_once("answer", &answered.collect(), &found);
    wrong.extend(each_once("event", &record.events, &found));
    let verified = installation.run(&["usage", "verify", "--database", url]);
    if verified.code != Some(0) {
        wrong.push(format!("{verified:?}"));
    }
    wrong
}

/// Checks that acknowledged items exist once and others at most once.
fn each_once(
    noun: &str,
    known: &BTreeMap<String, bool>,
    found: &BTreeMap<String, usize>,
) -> Vec<String> {
    let wrong = known.iter().filter_map(|(id, is_acknowledged)| {
        let count = found.get(id).copied().unwrap_or(0);
        let is_right = count == 1 || (count == 0 && !is_acknowledged);
        (!is_right).then(|| format!("{noun} {id} is there {count} times"))
    });
    wrong.collect()
}

#[expect(
    clippy::print_stdout,
    reason = "the figures are what somebody who runs it wants to see"
)]
fn say(traffic: &Traffic, outages: &[Outage]) {
    let record = traffic.record();
    let whole = record.answered.iter().filter(|(_, is_whole)| *is_whole);
    println!(
        "{} answers, {} of them whole; {} outages of the database; {:?}",
        record.answered.len(),
        whole.count(),
        outages.len(),
        record.statuses
    );
}
