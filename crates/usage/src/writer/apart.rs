//! The gateway's own events: each is written, or set aside when the database refuses it, until the ledger takes it.

use std::collections::VecDeque;
use std::time::Duration;

use base::Error;
use base::time::Stopwatch;

use super::{FIRST_PAUSE, NotWritten, Writer, answer};
use crate::jobs::Job;
use crate::ledger::Written;
use crate::ledger::key::Source;
use crate::set_aside::{self, SetAside, json_of};
use crate::{Appended, UsageEvent};

/// The interval after which events that were set aside are tried again.
const RETRY_INTERVAL: Duration = Duration::from_secs(60);
/// The most events that were set aside which are tried at once.
const MAX_RETRIES: usize = 100;

/// The tries to write what was set aside.
pub(super) struct Retries {
    /// Runs from the last one.
    since: Stopwatch,
    /// The number of the last event that was tried; 0 to begin anew.
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

impl Writer {
    /// Writes jobs of the gateway's own. Where the database refuses some, their halves are tried, so that in the end what
    /// is refused is alone.
    pub(super) async fn write_own(&mut self, batch: Vec<Job>) {
        let mut parts = VecDeque::from([batch]);
        while let Some(mut jobs) = parts.pop_front() {
            match self.persist(&mut jobs).await {
                Ok(new) => answer(jobs, &new),
                Err(NotWritten::Refused(error)) => {
                    let half = jobs.split_off(jobs.len() / 2);
                    if jobs.is_empty() {
                        for job in half {
                            self.write_apart(job, &error).await;
                        }
                    } else {
                        parts.push_front(half);
                        parts.push_front(jobs);
                    }
                }
                Err(reason) => self.lose(jobs, &reason),
            }
        }
    }

    /// Writes each event of a job that the database refuses by itself, and sets aside those that it refuses then.
    async fn write_apart(&mut self, mut job: Job, reason: &store::Error) {
        let mut appended = Appended::default();
        let events = std::mem::take(&mut job.events);
        for (index, event) in events.iter().enumerate() {
            let written = match events.len() {
                1 => Err(reason.to_string()),
                _ => match self.append(&[event], Source::Gateway, None, &[]).await {
                    Ok(written) => Ok(written),
                    Err(NotWritten::Refused(error)) => Err(error.to_string()),
                    Err(reason) => {
                        job.events = events[index..].to_vec();
                        return self.lose(vec![job], &reason);
                    }
                },
            };
            let is_new = match written {
                Ok(Written { new, spent, .. }) => {
                    self.spend.count(&spent, &[], std::iter::empty());
                    new[0]
                }
                Err(reason) => match self.set_aside(event, &reason).await {
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
        drop(job.hold.take());
        if !job.releases.is_empty() {
            let released = self.append(&[], Source::Gateway, None, &job.releases);
            match released.await {
                Ok(Written { reserved, .. }) => {
                    self.spend.count(&[], &reserved, std::iter::empty());
                }
                Err(reason) => return self.lose(vec![job], &reason),
            }
        }
        // Whoever does not want to know has dropped the other end.
        let _ = job.done.send(Ok(appended));
    }

    /// Sets an event aside, until that works; meanwhile the gateway admits no requests.
    async fn set_aside(&mut self, event: &UsageEvent, reason: &str) -> Result<(), NotWritten> {
        let (organization, id) = (event.organization_id.clone(), event.id.as_str());
        tracing::error!(%organization, id, reason, "usage event set aside: the database refuses it");
        let mut pause = FIRST_PAUSE;
        loop {
            let (database, now) = (self.ledger.database(), self.clock.now());
            match set_aside::add(database, event, reason, now).await {
                Ok(()) => break,
                Err(error) => {
                    self.metrics.set_blocked(true);
                    tracing::error!(%error, id, "usage event not set aside: no request is admitted; trying again");
                    if self.paused(&mut pause).await.is_err() {
                        return Err(NotWritten::Stopped(error));
                    }
                }
            }
        }
        self.metrics.set_blocked(false);
        self.metrics.set_set_aside(self.metrics.set_aside() + 1);
        Ok(())
    }

    /// Tries to write what was set aside.
    pub(super) async fn retry_set_aside(&mut self) {
        self.retries.since = Stopwatch::start();
        if let Err(error) = self.try_set_aside().await {
            tracing::warn!(%error, "usage events that are set aside could not be tried again");
        }
    }

    async fn try_set_aside(&mut self) -> store::Result<()> {
        let database = self.ledger.database().clone();
        let limit = i64::try_from(MAX_RETRIES).unwrap_or(i64::MAX);
        let events = {
            let mut read = database.read().await?;
            set_aside::after(&mut read, self.retries.after, limit).await?
        };
        let is_last = events.len() < MAX_RETRIES;
        for SetAside { number, event, .. } in events {
            self.retries.after = number;
            match self
                .ledger
                .append(&[&event], Source::Gateway, None, &[])
                .await
            {
                // Another row has its key: this one is nowhere else.
                Ok(Written { conflicts: 1.., .. }) => {}
                Ok(Written { spent, .. }) => {
                    self.spend.count(&spent, &[], std::iter::empty());
                    set_aside::remove(&database, number).await?;
                    let (organization, id) = (&event.organization_id, event.id.as_str());
                    tracing::info!(%organization, id, "usage event written that was set aside");
                }
                Err(error) if error.is_final() => {}
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

    /// Gives up on events at the stop: the log is all that has them.
    fn lose(&self, jobs: Vec<Job>, reason: &NotWritten) {
        let error = match reason {
            NotWritten::Refused(error) | NotWritten::Stopped(error) => error.to_string(),
            NotWritten::Bounded(error) => error.message.to_string(),
        };
        for job in jobs {
            for event in &job.events {
                let (organization, id) = (&event.organization_id, event.id.as_str());
                let event = json_of(event);
                tracing::error!(%organization, id, error, event, "usage event lost at the stop");
            }
            self.metrics.lost(job.events.len());
            drop(job.hold);
            let _ = job.done.send(Err(Error::internal()));
        }
    }
}
