//! Events of the gateway: each is written to the ledger, or set aside if the database refuses it and retried later.

use std::time::Duration;

use base::Error;
use base::time::Stopwatch;

use tasks::Task;

use super::outcome::{NotWritten, caught};
use super::{LedgerWriter, MIN_RETRY_DELAY, answer};
use crate::UsageEvent;
use crate::jobs::{Appended, Job};
use crate::ledger::key::Source;
use crate::ledger::{Append, Written};
use crate::set_aside::{self, SetAside, json_of};

/// The interval at which events that were set aside are retried.
const RETRY_INTERVAL: Duration = Duration::from_secs(60);
/// The most events that are retried at once.
const MAX_RETRIES: usize = 100;

/// The progress of retrying events that were set aside.
pub(super) struct Retries {
    /// The time since the last retry.
    since: Stopwatch,
    /// The number of the last event that was retried; 0 to start over.
    after: i64,
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            since: Stopwatch::start(),
            after: 0,
        }
    }
}

impl Retries {
    pub(super) fn is_due(&self) -> bool {
        self.since.elapsed() >= RETRY_INTERVAL
    }
}

impl LedgerWriter {
    /// Writes the jobs of the gateway. Jobs that the database refuses are halved and tried again, until those at fault
    /// are alone.
    pub(super) async fn write_gateway_jobs(&mut self) {
        while let Some(mut jobs) = self.parts.pop_front() {
            match self.persist(&mut jobs).await {
                Ok(new) => answer(jobs, &new),
                Err(reason @ (NotWritten::Refused(_) | NotWritten::Panicked)) => {
                    let half = jobs.split_off(jobs.len() / 2);
                    if jobs.is_empty() {
                        for job in half {
                            self.write_one_by_one(job, &reason).await;
                        }
                    } else {
                        self.parts.push_front(half);
                        self.parts.push_front(jobs);
                    }
                }
                Err(reason) => self.lose(jobs, &reason),
            }
        }
    }

    /// Writes each event of a refused job in a transaction of its own, and sets aside those that are refused again.
    async fn write_one_by_one(&mut self, mut job: Job, reason: &NotWritten) {
        let mut appended = Appended::default();
        let events = std::mem::take(&mut job.events);
        for (index, event) in events.iter().enumerate() {
            let written = match events.len() {
                1 => Err(reason.to_string()),
                _ => match self.append_alone(&[event], Source::Gateway.into()).await {
                    Ok(written) => Ok(written),
                    Err(reason @ (NotWritten::Refused(_) | NotWritten::Panicked)) => {
                        Err(reason.to_string())
                    }
                    Err(reason) => {
                        job.events = events[index..].to_vec();
                        return self.lose(vec![job], &reason);
                    }
                },
            };
            let is_new = match written {
                Ok(written) => {
                    self.spend.count(written.counted(), std::iter::empty());
                    written.new[0]
                }
                Err(reason) => match self.set_event_aside(event, &reason).await {
                    Ok(()) => true,
                    Err(reason) => {
                        job.events = events[index..].to_vec();
                        return self.lose(vec![job], &reason);
                    }
                },
            };
            appended.accepted += usize::from(is_new);
            appended.duplicates += usize::from(!is_new);
        }
        let spend = job.spend.take();
        let settlement = spend.as_ref().and_then(|spend| spend.settlement(None));
        if !(job.releases.is_empty() && job.ended.is_none() && settlement.is_none()) {
            let (releases, ended) = (job.releases.clone(), Vec::from_iter(job.ended.clone()));
            let append = Append {
                releases: &releases,
                ended: &ended,
                settlements: settlement.as_slice(),
                ..Append::from(Source::Gateway)
            };
            match self.append_alone(&[], append).await {
                Ok(written) => self.spend.count(written.counted(), spend.into_iter()),
                Err(reason) => return self.lose(vec![job], &reason),
            }
        }
        // The receiver may have been dropped.
        let _ = job.done.send(Ok(appended));
    }

    /// Appends an event, or releases what a request holds, in a transaction of its own.
    async fn append_alone(
        &mut self,
        event: &[&UsageEvent],
        append: Append<'_>,
    ) -> Result<Written, NotWritten> {
        let appended = caught(self.append(event, append)).await;
        appended.unwrap_or_else(|| {
            self.recover();
            Err(NotWritten::Panicked)
        })
    }

    /// Sets an event aside, retrying until it works. Meanwhile the gateway admits no requests.
    async fn set_event_aside(
        &mut self,
        event: &UsageEvent,
        reason: &str,
    ) -> Result<(), NotWritten> {
        let (organization, id) = (event.organization_id.clone(), event.id.as_str());
        tracing::error!(%organization, id, reason, "usage event set aside: refused by the database");
        let mut delay = MIN_RETRY_DELAY;
        loop {
            let (database, now) = (self.ledger.database(), self.ledger.now());
            let reason = match caught(set_aside::add(database, event, reason, now)).await {
                Some(Ok(())) => break,
                Some(Err(error)) => NotWritten::Stopped(error),
                None => NotWritten::Panicked,
            };
            self.metrics.set_blocked(true);
            tracing::error!(error = %reason, id, "failed to set usage event aside; requests are refused until the event is written");
            if self.back_off(&mut delay).await.is_err() {
                return Err(reason);
            }
        }
        self.metrics.set_blocked(false);
        self.metrics.set_set_aside(self.metrics.set_aside() + 1);
        Ok(())
    }

    /// Retries events that were set aside.
    pub(super) async fn retry_set_aside(&mut self) {
        self.retries.since = Stopwatch::start();
        match caught(self.try_retry_set_aside()).await {
            Some(Ok(())) => {}
            Some(Err(error)) => {
                tracing::warn!(%error, "failed to retry usage events that are set aside");
            }
            // The next retry continues after the event that panicked.
            None => self.recover(),
        }
    }

    async fn try_retry_set_aside(&mut self) -> store::Result<()> {
        let database = self.ledger.database().clone();
        let limit = i64::try_from(MAX_RETRIES).unwrap_or(i64::MAX);
        let events = {
            let mut read = database.read().await?;
            set_aside::after(&mut read, self.retries.after, limit).await?
        };
        let is_last = events.len() < MAX_RETRIES;
        for SetAside { number, event, .. } in events {
            self.retries.after = number;
            match self.ledger.append(&[&event], Source::Gateway.into()).await {
                // Another row has the key, so the event must stay where it is.
                Ok(Written { conflicts: 1.., .. }) => {}
                Ok(written) => {
                    self.spend.count(written.counted(), std::iter::empty());
                    set_aside::remove(&database, number).await?;
                    let (organization, id) = (&event.organization_id, event.id.as_str());
                    tracing::info!(%organization, id, "set-aside usage event written");
                }
                Err(error) if error.is_permanent() => {}
                Err(error) => return Err(error),
            }
        }
        if is_last {
            self.retries.after = 0;
        }
        let left = set_aside::count(&mut *database.read().await?).await?;
        self.metrics.set_set_aside(left);
        Ok(())
    }

    /// Gives up on events at shutdown: only the log has them.
    fn lose(&self, jobs: Vec<Job>, reason: &NotWritten) {
        let error = reason.to_string();
        for job in jobs {
            for event in &job.events {
                let (organization, id) = (&event.organization_id, event.id.as_str());
                let event = json_of(event);
                tracing::error!(%organization, id, error, event, "usage event lost at shutdown");
            }
            self.metrics.lost(job.events.len());
            drop(job.spend);
            let _ = job.done.send(Err(Error::internal()));
        }
    }
}
