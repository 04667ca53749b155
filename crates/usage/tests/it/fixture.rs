//! A recorder on a database of its own, and events to record.

use std::sync::Arc;

use base::ids::{Id, KeyId, OrganizationId, ProjectId};
use base::time::SECONDS_PER_DAY;
use base::{Clock, UnixTime};
use prometheus::Registry;
use store::testing::TestDatabase;
use store::{Row, Statement, Store};
use usage::{
    LedgerEntry, LedgerReader, Metric, PriceBook, Quantities, Recorder, RecorderTask, Reports,
    Spend, UsageEvent, UsageKind, UsageQuery, Width, usage,
};

use crate::sources::count_of;

/// 2026-03-02T00:00:00Z, a Monday.
pub(crate) const START_SECONDS: i64 = 1_772_409_600;

/// Prices that are easy to compute with.
pub(crate) const PRICES: &str = r#"
    [[price]]
    model = "m"
    effective = "2026-01-01"
    input = "2"
    cached_input = "0.5"
    output = "8"
    batch = "0.5"
    service_tier = { priority = "2.0", flex = "0.5" }

    [[price]]
    model = "pictures"
    effective = "2026-01-01"
    image = { "1024x1024" = "0.04", "1792x1024" = "0.08" }

    [[price]]
    model = "*"
    effective = "2026-01-01"
    web_search = "10"
    file_search = "2.50"
    code_interpreter = "0.03"
    storage = "0.10"
"#;

pub(crate) struct Fixture {
    pub(crate) store: Store,
    pub(crate) reports: Reports,
    pub(crate) recorder: Recorder,
    pub(crate) task: RecorderTask,
    pub(crate) prices: Arc<PriceBook>,
    pub(crate) spend: Spend,
    pub(crate) clock: Clock,
    pub(crate) database: TestDatabase,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        Self::with(PriceBook::parse(PRICES).expect("a price book")).await
    }

    pub(crate) async fn with(prices: PriceBook) -> Self {
        let database = TestDatabase::new();
        let store = Store::open(database.url());
        let store = store.await.expect("a database");
        let prices = Arc::new(prices);
        let clock = Clock::fake(UnixTime(START_SECONDS));
        let (recorder, task, spend) = start(&store, &prices, &clock).await;
        Self {
            reports: Reports::new(store.usage().clone()),
            store,
            recorder,
            task,
            prices,
            spend,
            clock,
            database,
        }
    }

    /// Starts the recorder of another node on the same database.
    pub(crate) async fn another(&self) -> (Recorder, RecorderTask, Spend) {
        let store = Store::open(self.database.url());
        let store = store.await.expect("a database");
        start(&store, &self.prices, &self.clock).await
    }

    /// Returns the metrics of the recorder.
    pub(crate) fn metrics(&self) -> Registry {
        let registry = Registry::new();
        self.recorder.register(&registry).expect("registered");
        registry
    }

    /// Waits until a write of the ledger has failed `count` times.
    pub(crate) async fn until_failed(&self, count: f64) {
        let metrics = self.metrics();
        poll::until("writes of the ledger fail", async || {
            count_of(&metrics, "orgplane_ledger_write_failures_total") >= count
        })
        .await;
    }

    /// Waits until `spend` has this amount of organization `a`.
    pub(crate) async fn until_spent(spend: &Spend, amount: i64) {
        poll::until("the spend is seen", async || {
            spend.month_to_date(&organization("a"), None).0 == amount
        })
        .await;
    }

    pub(crate) async fn execute(&self, statement: Statement) {
        let mut transaction = self.store.usage().begin().await.expect("a transaction");
        transaction.execute(statement).await.expect("a change");
        transaction.commit().await.expect("a commit");
    }

    pub(crate) async fn rows<T>(
        &self,
        statement: Statement,
        read: fn(&Row<'_>) -> store::Result<T>,
    ) -> Vec<T> {
        let mut connection = self.store.usage().read().await.expect("a connection");
        connection.fetch_all(statement, read).await.expect("rows")
    }

    /// Returns the rows of the ledger, ordered by id.
    pub(crate) async fn ledger(&self) -> Vec<LedgerEntry> {
        let mut all = LedgerReader::all(self.store.usage())
            .await
            .expect("the ledger");
        all.sort_by(|a, b| a.event.id.cmp(&b.event.id));
        all
    }

    /// Records forty requests at once, each with an event and one of a tool, and waits until they are durable. `bad`
    /// makes the events of the requests 7, 23 and 24.
    pub(crate) async fn record_forty(&self, bad: fn(&str) -> UsageEvent) {
        let mut recorded = Vec::new();
        for number in 0..40 {
            let slot = self.recorder.reserve().await.expect("a place");
            let id = format!("{number:02}");
            let is_bad = [7, 23, 24].contains(&number);
            // The events of one request may be accepted and refused separately, like those of several requests.
            let event = if is_bad { bad(&id) } else { event(&id) };
            let tool = self::event(&format!("{id}-tool"));
            recorded.push(slot.record_all(vec![event, tool]));
        }
        for one in recorded {
            one.await.expect("durable");
        }
    }

    /// Returns the ids in the ledger.
    pub(crate) async fn ids(&self) -> Vec<String> {
        let all = self.ledger().await.into_iter();
        all.map(|entry| entry.event.id).collect()
    }

    /// Returns the sum of a metric over all organizations, by the rollups of a width.
    pub(crate) async fn total(&self, width: Width, metric: Metric) -> i64 {
        let mut total = 0;
        for name in ["a", "b"] {
            let query = UsageQuery {
                organization_id: organization(name),
                kind: UsageKind::Completions,
                start: UnixTime(START_SECONDS),
                end: UnixTime(START_SECONDS + 7 * SECONDS_PER_DAY),
                width,
                limit: i64::MAX,
                group_by: Vec::new(),
                filters: Vec::new(),
                batch: None,
            };
            let found = usage(&self.reports, &query).await.expect("a report");
            let results = found.buckets.iter().flat_map(|bucket| &bucket.results);
            total += results
                .map(|result| result.quantities.or_zero(metric))
                .sum::<i64>();
        }
        total
    }
}

async fn start(
    store: &Store,
    prices: &Arc<PriceBook>,
    clock: &Clock,
) -> (Recorder, RecorderTask, Spend) {
    let (database, clock) = (store.usage(), clock.clone());
    let spend = Spend::load(database, clock.clone()).await;
    let spend = spend.expect("what was spent");
    let recorder = Recorder::start(database.clone(), Arc::clone(prices), clock, spend.clone());
    let (recorder, task) = recorder.expect("a recorder");
    (recorder, task, spend)
}

pub(crate) fn organization(name: &str) -> OrganizationId {
    OrganizationId::from_text(format!("org-{name}"))
}

/// Returns the event of a chat request at [`START_SECONDS`]: 1,000 input tokens, 400 of them cached, and 100 output tokens.
pub(crate) fn event(id: &str) -> UsageEvent {
    UsageEvent {
        api_key_id: Some(KeyId::from_text("key_a".to_owned())),
        model: Some("m".to_owned()),
        ..UsageEvent::new(
            id.to_owned(),
            UnixTime(START_SECONDS),
            organization("a"),
            ProjectId::from_text("proj_a".to_owned()),
            UsageKind::Completions,
            Quantities::default()
                .with(Metric::InputTokens, 1000)
                .with(Metric::InputCachedTokens, 400)
                .with(Metric::OutputTokens, 100)
                .with(Metric::NumModelRequests, 1),
        )
    }
}

/// The cost of [`event`]: 600 × 2, 400 × 0.5 and 100 × 8 dollars per million.
pub(crate) const NANO_DOLLARS_PER_EVENT: i64 = 2_200_000;
