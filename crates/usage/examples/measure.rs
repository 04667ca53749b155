//! Measures how fast events are recorded and reports are answered:
//! `cargo run --release -p usage --example measure [events]`. On SQLite, or where `ORGPLANE_TEST_DATABASE` says.
#![expect(clippy::print_stdout, reason = "what is measured is to be seen")]

use std::error::Error;
use std::sync::Arc;

use base::ids::{Id, OrganizationId};
use base::time::{SECONDS_PER_DAY, SECONDS_PER_HOUR, SECONDS_PER_MINUTE, Stopwatch};
use base::{Clock, UnixTime};
use store::Store;
use store::testing::TestDatabase;
use usage::{
    ApiSource, CostDimension, CostQuery, Dimension, Metric, Outcome, PriceBook, Quantities,
    Recorder, Reports, Spend, UsageEvent, UsageKind, UsageQuery, Width, costs, usage,
};

const START_SECONDS: i64 = 1_772_409_600;
const DAYS_COUNT: i64 = 31;
const MODELS: &[&str] = &[
    "gpt-5",
    "gpt-5-mini",
    "gpt-4.1",
    "gpt-4o",
    "gpt-4o-mini",
    "o3",
];

/// Returns the `number`th of `all` events, spread over the days; 50 projects with 4 keys each, some busier than others.
fn event(number: i64, all: i64) -> UsageEvent {
    let random = number
        .wrapping_mul(2_862_933_555_777_941_757)
        .rotate_left(29)
        .unsigned_abs();
    let busy = |below: u64, shift: u32| {
        (random >> shift) % below * ((random >> (shift + 8)) % below) / below
    };
    let (project, key) = (busy(50, 3), busy(4, 23));
    let tokens = i64::try_from(random % 4_000).unwrap_or(0);
    UsageEvent {
        id: format!("req_{number:026}"),
        timestamp: UnixTime(START_SECONDS + number * (DAYS_COUNT * SECONDS_PER_DAY) / all),
        organization_id: organization(),
        kind: UsageKind::Completions,
        project_id: Id::from_text(format!("proj_{project:026}")),
        user_id: Some(Id::from_text(format!("user-{project:02}-{key:023}"))),
        api_key_id: Some(Id::from_text(format!("key_{project:02}-{key:023}"))),
        model: Some(MODELS[usize::try_from(random >> 40).unwrap_or(0) % MODELS.len()].to_owned()),
        batch: false,
        service_tier: Some("default".to_owned()),
        size: None,
        source: None,
        vector_store_id: None,
        context_level: None,
        api_source: ApiSource::Unlabeled,
        quantities: Quantities::default()
            .with(Metric::InputTokens, tokens)
            .with(Metric::InputCachedTokens, tokens / 3)
            .with(Metric::OutputTokens, tokens / 7)
            .with(Metric::NumModelRequests, 1),
        estimated: false,
        outcome: Outcome::Succeeded,
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let all = std::env::args()
        .nth(1)
        .map_or(Ok(1_000_000), |text| text.parse())?;
    let database = TestDatabase::new();
    let store = Store::open(database.url()).await?;
    let prices = Arc::new(PriceBook::built_in());
    let (usage, clock) = (store.usage().clone(), Clock::system());
    let spend = Spend::load(&usage, clock.clone()).await?;
    let (recorder, task) = Recorder::start(usage, prices, clock, spend)?;
    let watch = Stopwatch::start();
    for number in 0..all {
        let slot = loop {
            // A full queue is intended here; a machine under load may keep it full for longer than a second.
            if let Ok(slot) = recorder.reserve().await {
                break slot;
            }
        };
        drop(slot.record(event(number, all)));
    }
    recorder.flush().await;
    let milliseconds = i64::try_from(watch.milliseconds())?.max(1);
    println!(
        "{}: {} events/s recorded",
        store.kind(),
        all * 1_000 / milliseconds
    );
    reports(&Reports::new(store.usage().clone())).await?;
    task.stop(std::time::Duration::from_secs(10)).await;
    Ok(())
}

/// A case: the report's name, its range in seconds from the start, its width and the dimensions to group by.
type Case = (&'static str, i64, i64, Width, &'static [Dimension]);

const BY_PROJECT: &[Dimension] = &[Dimension::ProjectId, Dimension::Model];
const BY_KEY: &[Dimension] = &[Dimension::ApiKeyId, Dimension::Model];
const REPORTS: &[Case] = &[
    (
        "31 days, total",
        0,
        DAYS_COUNT * SECONDS_PER_DAY,
        Width::Day,
        &[],
    ),
    (
        "31 days by project, model",
        0,
        DAYS_COUNT * SECONDS_PER_DAY,
        Width::Day,
        BY_PROJECT,
    ),
    (
        "31 days by key, model",
        0,
        DAYS_COUNT * SECONDS_PER_DAY,
        Width::Day,
        BY_KEY,
    ),
    (
        "31 days by project, model, clipped",
        12_345,
        DAYS_COUNT * SECONDS_PER_DAY - 12_345,
        Width::Day,
        BY_PROJECT,
    ),
    (
        "24 hours by key, model",
        5 * SECONDS_PER_DAY,
        6 * SECONDS_PER_DAY,
        Width::Hour,
        BY_KEY,
    ),
    (
        "1,440 minutes by model",
        5 * SECONDS_PER_DAY,
        6 * SECONDS_PER_DAY,
        Width::Minute,
        &[Dimension::Model],
    ),
];

async fn reports(reports: &Reports) -> Result<(), Box<dyn Error>> {
    for (name, start, end, width, group_by) in REPORTS {
        let query = UsageQuery {
            organization_id: organization(),
            kind: UsageKind::Completions,
            start: UnixTime(START_SECONDS + start),
            end: UnixTime(START_SECONDS + end),
            width: *width,
            limit: 1_440,
            group_by: group_by.to_vec(),
            filters: Vec::new(),
            batch: None,
        };
        measure(name, async || usage(reports, &query).await.map(drop)).await?;
    }
    let clip = 12 * SECONDS_PER_HOUR + SECONDS_PER_MINUTE + 1;
    for (name, clip) in [("costs of 31 days by item", 0), ("the same, clipped", clip)] {
        let query = CostQuery {
            organization_id: organization(),
            start: UnixTime(START_SECONDS + clip),
            end: UnixTime(START_SECONDS + DAYS_COUNT * SECONDS_PER_DAY - clip),
            limit: 180,
            group_by: vec![CostDimension::LineItem, CostDimension::ProjectId],
            project_ids: Vec::new(),
            user_ids: Vec::new(),
            api_key_ids: Vec::new(),
            line_items: Vec::new(),
        };
        measure(name, async || costs(reports, &query).await.map(drop)).await?;
    }
    Ok(())
}

fn organization() -> OrganizationId {
    OrganizationId::from_text("org-measured".to_owned())
}

/// Prints the duration of several runs.
async fn measure(
    name: &str,
    run: impl AsyncFn() -> store::Result<()>,
) -> Result<(), Box<dyn Error>> {
    let mut times = Vec::new();
    for _ in 0..15 {
        let watch = Stopwatch::start();
        run().await?;
        times.push(watch.milliseconds());
    }
    times.sort_unstable();
    let (least, median) = (times[0], times[times.len() / 2]);
    println!("{least:>6} ms at best, {median:>4} ms median  {name}");
    Ok(())
}
