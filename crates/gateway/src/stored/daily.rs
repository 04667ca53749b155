//! What a vector store takes up: one row of the ledger for each UTC day.

use access::stored::Object;
use base::time::{DAY, HOUR};
use base::{Error, Result, UnixTime};
use serde::Deserialize;
use usage::{Kind as Report, Metric, Outcome, Quantities, UsageEvent};

use super::reserve::reservation_of_day;
use crate::Shared;

/// How many days are made up for that nobody looked at.
const MOST_DAYS: i64 = 31;

#[derive(Deserialize)]
struct VectorStore {
    #[serde(default)]
    usage_bytes: Option<i64>,
}

impl Shared {
    /// Before a vector store is deleted: what it takes up today, if that was not written down yet. One that is gone takes
    /// up nothing.
    pub(super) async fn record_last_day(&self, object: &Object) -> Result<()> {
        let is_due_today = object
            .due_at
            .is_some_and(|due| due.floor(DAY) <= self.clock.now().floor(DAY));
        if !is_due_today {
            return Ok(());
        }
        let answer = self.ask_about(object).await?;
        if answer.says_gone() {
            return Ok(());
        }
        self.record_days(object, &answer.body).await
    }

    /// Writes into the ledger what a vector store takes up, for each day since it was looked at last. What it took up on
    /// days before this one is estimated.
    pub(super) async fn record_days(&self, object: &Object, answer: &[u8]) -> Result<()> {
        let store: VectorStore = serde_json::from_slice(answer)
            .map_err(|_| Error::upstream("The model server's answer is no vector store."))?;
        let today = self.clock.now().floor(DAY);
        let first = object.due_at.unwrap_or(today).floor(DAY);
        let first = first.max(today.plus(-MOST_DAYS * DAY));
        if let Some(bytes) = store.usage_bytes.filter(|bytes| *bytes > 0) {
            let (mut events, mut releases) = (Vec::new(), Vec::new());
            let mut day = first;
            while day <= today {
                events.push(event(object, day, bytes, day < today));
                releases.push(reservation_of_day(object, day));
                day = day.plus(DAY);
            }
            // The next day is paid for before this one counts, so that its room is not given to others in between.
            self.reserve_day(object, today, bytes).await?;
            self.recorder.settle(events, releases).await?;
        }
        // Later than midnight, so that the day's first files are in it.
        self.stored
            .set_due(object, Some(today.plus(DAY + HOUR)))
            .await
    }
}

fn event(object: &Object, day: UnixTime, bytes: i64, estimated: bool) -> UsageEvent {
    let made_at = UnixTime(object.created_at.div_euclid(1_000));
    UsageEvent {
        id: format!("{}/{}", object.id, day.0 / DAY),
        timestamp: day.max(made_at),
        organization_id: object.owner.organization.clone(),
        kind: Report::VectorStores,
        project_id: object.owner.project.clone(),
        user_id: None,
        api_key_id: None,
        model: None,
        batch: false,
        service_tier: None,
        size: None,
        source: None,
        vector_store_id: None,
        context_level: None,
        quantities: Quantities::default().with(Metric::UsageBytes, bytes),
        estimated,
        outcome: Outcome::Succeeded,
    }
}
