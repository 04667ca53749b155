//! The intervals of the writer, by a clock that the tests drive.

use std::sync::Arc;
use std::time::Duration;

use base::{Clock, UnixTime};
use store::Store;
use store::testing::TestDatabase;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, advance};

use super::{LedgerWriter, MAX_BATCH_DELAY, REFRESH_INTERVAL, RunningGuard, WriterInbox};
use crate::jobs::{Job, ReportQueue};
use crate::ledger::Ledger;
use crate::ledger::key::Source;
use crate::metrics::LedgerMetrics;
use crate::under_way::UnderWay;
use crate::{PriceBook, Spend};

/// The resolution of timers.
const TICK_INTERVAL: Duration = Duration::from_millis(1);

/// The ends of the queues and signals of a writer that its recorder has.
struct RecorderEnds {
    jobs: mpsc::Sender<Job>,
    flush_requested: Arc<Notify>,
    _reports: mpsc::Sender<Job>,
    _stop: watch::Sender<Option<Duration>>,
    _database: TestDatabase,
    /// Keeps a blocking thread busy, so that the paused clock does not advance while the writer waits for the database.
    _clock: std::sync::mpsc::Sender<()>,
}

/// Pauses the clock and makes a writer, whose first refresh is due after the interval.
async fn writer() -> (LedgerWriter, RecorderEnds) {
    let test_database = TestDatabase::new();
    let store = Store::open(test_database.url()).await.expect("a database");
    let (database, clock) = (store.usage().clone(), Clock::fake(UnixTime(0)));
    let spend = Spend::load(&database, clock.clone()).await.expect("spend");
    tokio::time::pause();
    let (release, released) = std::sync::mpsc::channel();
    tokio::task::spawn_blocking(move || released.recv());
    let (jobs, own) = mpsc::channel(100);
    let (reports, reported) = mpsc::channel(1);
    let (_, strict) = mpsc::channel(1);
    let (stop, stopped) = watch::channel(None);
    let flush_requested = Arc::new(Notify::new());
    let metrics = Arc::new(LedgerMetrics::new().expect("metrics"));
    let inbox = WriterInbox {
        jobs: own,
        reports: ReportQueue::new(reported),
        flush_requested: Arc::clone(&flush_requested),
        under_way: UnderWay::default(),
        strict,
        node: None,
        stop: stopped,
        running: RunningGuard::new(metrics, watch::channel(()).0),
    };
    let ledger = Ledger::new(database, Arc::new(PriceBook::default()), clock);
    let ends = RecorderEnds {
        jobs,
        flush_requested,
        _reports: reports,
        _stop: stop,
        _database: test_database,
        _clock: release,
    };
    (LedgerWriter::new(ledger, spend, inbox), ends)
}

impl RecorderEnds {
    /// Sends a job for which no caller waits.
    async fn send(&self) {
        let (mut job, _) = Job::new(Source::Gateway, Vec::new());
        job.is_urgent = false;
        assert!(self.jobs.send(job).await.is_ok(), "the writer takes jobs");
    }
}

#[tokio::test]
async fn a_batch_waits_50_ms_for_more_events() {
    let (mut writer, ends) = writer().await;
    let started = Instant::now();
    ends.send().await;
    let more = async {
        advance(MAX_BATCH_DELAY - TICK_INTERVAL).await;
        ends.send().await;
        advance(2 * TICK_INTERVAL).await;
    };
    let (is_open, ()) = tokio::join!(writer.gather(), more);
    assert!(is_open);
    assert_eq!(writer.batch.jobs.len(), 2);
    assert_eq!(started.elapsed(), MAX_BATCH_DELAY + TICK_INTERVAL);
}

#[tokio::test]
async fn a_flush_ends_the_wait_of_a_batch() {
    let (mut writer, ends) = writer().await;
    let started = Instant::now();
    ends.send().await;
    ends.flush_requested.notify_one();
    assert!(writer.gather().await);
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn an_idle_writer_refreshes_the_spend_of_other_nodes_every_half_second() {
    let (mut writer, ends) = writer().await;
    let pass_time = async {
        advance(REFRESH_INTERVAL + TICK_INTERVAL).await;
        ends.send().await;
        ends.flush_requested.notify_one();
    };
    tokio::join!(writer.gather(), pass_time);
    assert_eq!(writer.refreshed.elapsed(), Duration::ZERO);
}

/// A timer that starts anew for each job would never fire.
#[tokio::test]
async fn a_busy_writer_refreshes_the_spend_of_other_nodes_every_half_second() {
    let (mut writer, ends) = writer().await;
    let step = REFRESH_INTERVAL / 10;
    for _ in 0..50 {
        ends.send().await;
        ends.flush_requested.notify_one();
        advance(step).await;
        assert!(writer.gather().await);
        assert!(writer.refreshed.elapsed() < REFRESH_INTERVAL);
    }
    assert_eq!(writer.batch.jobs.len(), 50);
}
