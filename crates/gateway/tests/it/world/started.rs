//! Start of a gateway on a database.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use access::{DEFAULT_MAX_AGE, Directory};
use base::ids::IdGenerator;
use base::secret::Pepper;
use base::{Budget, BudgetLimits, Clock, Entropy};
use bodies::BodiesTask;
use gateway::{
    DEFAULT_BODY_MEMORY_BYTES, Durability, FlowLimits, Gateway, GatewayOptions, GatewayTask,
    LimitWindows, ObjectRepository, UnpricedModels, UpstreamConfig,
};
use store::Store;
use tasks::TaskHandle;
use telemetry::Tracer;
use usage::{
    DurableReservations, LastUsed, ModelFact, ModelFacts, PriceBook, Recorder, Refusals, Spend,
};

use crate::retention;

/// Returns the secret that keys are hashed with.
pub fn pepper() -> Pepper {
    Pepper::generate(&Entropy::seeded(1))
}

/// Prices: a tenth of a cent for a token of `real`, rows for `banded`, 1.60 dollars for a gibibyte and day, 3 cents for a
/// container.
const PRICES: &str = "\
[[price]]
model = 'real'
effective = '2025-01-01'
input = '1000'
output = '1000'

[[price]]
model = 'banded'
effective = '2025-01-01'
input = '4'
cached_input = '0.4'
cache_write = '5'
cache_write_12h = '10'
output = '20'
batch = '0.5'
service_tier = { priority = '2' }
[[price.row]]
above_input_tokens = 272000
input = '8'
output = '30'
[[price.row]]
batch = true
above_input_tokens = 272000
input = '5'
output = '16'

[[price]]
model = '*'
effective = '2025-01-01'
storage = '1.60'
code_interpreter = '0.03'
";

/// Returns the prices of [`PRICES`].
pub fn prices() -> PriceBook {
    PriceBook::parse(PRICES).expect("prices")
}

/// Returns facts about models: `real` has at most a thousand output tokens.
fn facts() -> ModelFacts {
    ModelFacts::with(vec![ModelFact {
        name: "real".to_owned(),
        context_window: Some(8_000),
        max_output_tokens: Some(1_000),
        ..ModelFact::default()
    }])
}

fn reservations(store: &Store, spend: &Spend, clock: &Clock) -> DurableReservations {
    let ids = IdGenerator::new(clock.clone(), Entropy::operating_system());
    let database = store.usage().clone();
    DurableReservations::new(database, spend.clone(), Arc::new(ids), clock.clone())
}

pub type Others = (TaskHandle, TaskHandle);

/// Bounds of requests in flight.
pub struct Bounds {
    pub flow: FlowLimits,
    pub body_memory: Budget,
    /// Maximum age of the directory.
    pub stale_keys: Option<Duration>,
    /// Requests under a spend limit for models without a price.
    pub unpriced: UnpricedModels,
    pub prices: PriceBook,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            flow: FlowLimits::default(),
            body_memory: Budget::new(BudgetLimits::shared(DEFAULT_BODY_MEMORY_BYTES)),
            stale_keys: Some(DEFAULT_MAX_AGE),
            unpriced: UnpricedModels::Allow,
            prices: prices(),
        }
    }
}

/// A running gateway, with the tasks beside it.
pub struct Started {
    pub gateway: Gateway,
    pub task: GatewayTask,
    /// Writer of captured bodies, if bodies are kept.
    pub keeper: Option<BodiesTask>,
    pub directory: Arc<Directory>,
    pub others: Others,
}

/// Starts a gateway on a database, with the tasks that it needs.
pub async fn start(
    store: &Store,
    (recorder, spend): (&Recorder, &Spend),
    clock: &Clock,
    upstreams: Vec<UpstreamConfig>,
    (durability, keeps_bodies): (Durability, bool),
    bounds: Bounds,
) -> Started {
    let (last_used, last_used_task) = LastUsed::start(store.clone(), clock.clone());
    let directory = Directory::start_bounded(store.clone(), bounds.stale_keys).await;
    let (directory, following) = directory.expect("the keys");
    let keeper = || retention::keeper(store, &directory, &pepper(), clock);
    let (bodies, keeper) = keeps_bodies.then(keeper).unzip();
    let ids = IdGenerator::new(clock.clone(), Entropy::operating_system());
    let options = GatewayOptions {
        models: BTreeSet::new(),
        tracer: Tracer::off(),
        objects: ObjectRepository::new(store.clone(), clock.clone()),
        directory: Arc::clone(&directory),
        recorder: recorder.clone(),
        spend: spend.clone(),
        prices: bounds.prices,
        unpriced: bounds.unpriced,
        facts: facts(),
        reservations: reservations(store, spend, clock),
        limit_windows: LimitWindows::memory(),
        refusals: Refusals::new(clock.clone()),
        last_used,
        bodies: bodies.flatten(),
        pepper: pepper(),
        upstreams,
        ids: Arc::new(ids),
        clock: clock.clone(),
        durability,
        admission: Durability::Batched,
        flow: bounds.flow,
        body_memory: bounds.body_memory,
    };
    let (gateway, task) = Gateway::start(options).expect("a gateway");
    Started {
        gateway,
        task,
        keeper,
        directory,
        others: (last_used_task, following),
    }
}
