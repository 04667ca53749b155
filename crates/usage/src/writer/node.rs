//! The writer's work beside the ledger: requests under way, slices of spend limits, and the sessions of other nodes.

use std::time::Duration;

use base::time::Stopwatch;
use tasks::Task;

use base::UnixTime;

use super::LedgerWriter;
use super::outcome::caught;
use crate::Month;
use crate::spend::CountedSpend;
use crate::under_way::{self, DueRequests, LOCAL_EPOCH_ID, LostRequests, StrictRequest};

/// The interval at which sessions that are over are looked for.
const LOST_INTERVAL: Duration = Duration::from_secs(2);

impl LedgerWriter {
    /// Returns the time until requests under way are written.
    pub(super) fn until_write(&self) -> Duration {
        under_way::WRITE_INTERVAL.saturating_sub(self.requests_written.elapsed())
    }

    fn epoch(&self) -> i64 {
        let node = self.inbox.node.as_ref();
        node.map_or(LOCAL_EPOCH_ID, |node| node.session.epoch())
    }

    /// Writes the requests under way that are due.
    pub(super) async fn write_under_way(&mut self) {
        self.requests_written = Stopwatch::start();
        let due = self.inbox.under_way.take_due();
        self.write_requests(due).await;
    }

    /// Writes a request before it is forwarded, and those that wait for the same.
    pub(super) async fn write_strict(&mut self, first: StrictRequest) {
        let mut requests = vec![first];
        while let Ok(request) = self.inbox.strict.try_recv() {
            requests.push(request);
        }
        let due = self.inbox.under_way.take_strict(&requests);
        if self.write_requests(due).await {
            requests.into_iter().for_each(StrictRequest::written);
        }
    }

    /// Writes requests under way. True if the table has them.
    async fn write_requests(&mut self, due: DueRequests) -> bool {
        if due.is_empty() {
            return true;
        }
        let database = self.ledger.database();
        let error = match caught(under_way::write(database, self.epoch(), &due)).await {
            Some(Ok(())) => return true,
            Some(Err(error)) => error.to_string(),
            None => "the ledger writer panicked".to_owned(),
        };
        tracing::warn!(error, "failed to write requests under way; trying again");
        self.inbox.under_way.put_back(due);
        false
    }

    /// Gives back slices that others need, and records the requests of sessions that are over.
    pub(super) async fn refresh_slices(&mut self) {
        if self.inbox.node.is_none() {
            return;
        }
        match caught(self.spend.return_slices(self.ledger.database())).await {
            Some(Ok(())) => {}
            Some(Err(error)) => tracing::warn!(%error, "failed to give back spend slices"),
            None => self.is_spend_stale = true,
        }
        if self.lost_recorded.elapsed() < LOST_INTERVAL {
            return;
        }
        self.lost_recorded = Stopwatch::start();
        match caught(self.try_record_lost()).await {
            Some(Ok(())) => {}
            Some(Err(error)) => {
                tracing::warn!(%error, "failed to record requests of lost nodes; trying again");
            }
            None => self.recover(),
        }
    }

    async fn try_record_lost(&mut self) -> store::Result<()> {
        let Some(node) = self.inbox.node.clone() else {
            return Ok(());
        };
        let over = under_way::epochs_over(self.ledger.database(), &node).await?;
        for epoch in over {
            let lost = LostRequests::record(&mut self.ledger, epoch).await?;
            let counted = CountedSpend {
                totals: &lost.spent,
                ..CountedSpend::default()
            };
            self.spend.count(counted, std::iter::empty());
            let before = match node.keeps_lost {
                true => Month::of(self.ledger.now()).start,
                false => UnixTime(i64::MAX),
            };
            under_way::release_slices(self.ledger.database(), epoch, before).await?;
        }
        Ok(())
    }

    /// Deletes the requests that have ended without a row, and gives back all slices, at the end of the writer.
    pub(super) async fn end_session(&mut self) {
        self.write_under_way().await;
        if self.inbox.node.is_none() {
            return;
        }
        match caught(self.spend.return_all_slices(self.ledger.database())).await {
            Some(Ok(())) => {}
            Some(Err(error)) => {
                tracing::warn!(%error, "failed to give back spend slices; they stay reserved until the session is lost");
            }
            None => self.recover(),
        }
    }
}
