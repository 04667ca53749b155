//! The gateway's own events: each is written, or set aside when the database refuses it, until the ledger takes it.

use std::time::Duration;

use base::Error;
use base::time::Stopwatch;

use tasks::Task;

use super::outcome::{NotWritten, caught};
use super::{FIRST_PAUSE, Writer, answer};
use crate::jobs::Job;
use crate::ledger::Written;
use crate::ledger::key::Source;
use crate::set_aside::{self, SetAside, json_of};
use crate::{Appended, Release, UsageEvent};

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
    /// Writes the parts of the gateway's own jobs. Where the database refuses some, their halves are tried, so that in the end
    /// what is refused is alone.
    pub(super) async fn write_own(&mut self) {
        while let Some(mut jobs) = self.parts.pop_front() {
            match self.persist(&mut jobs).await {
                Ok(new) => answer(jobs, &new),
                Err(reason @ (NotWritten::Refused(_) | NotWritten::Panicked)) => {
                    let half = jobs.split_off(jobs.len() / 2);
                    if jobs.is_empty() {
                        for job in half {
                            self.write_apart(job, &reason).await;
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

    /// Writes each event of a job that the database refuses by itself, and sets aside those that it refuses then.
    async fn write_apart(&mut self, mut job: Job, reason: &NotWritten) {
        let mut appended = Appended::default();
        let events = std::mem::take(&mut job.events);
        for (index, event) in events.iter().enumerate() {
            let written = match events.len() {
                1 => Err(reason.to_string()),
                _ => match self.append_alone(&[event], &[]).await {
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
            match self.append_alone(&[], &job.releases).await {
                Ok(Written { reserved, .. }) => {
                    self.spend.count(&[], &reserved, std::iter::empty());
                }
                Err(reason) => return self.lose(vec![job], &reason),
            }
        }
        // Whoever does not want to know has dropped the other end.
        let _ = job.done.send(Ok(appended));
    }

    /// Appends an event, or releases reservations, without any other in the transaction.
    async fn append_alone(
        &mut self,
        event: &[&UsageEvent],
        releases: &[Release],
    ) -> Result<Written, NotWritten> {
        let appended = caught(self.append(event, Source::Gateway, None, releases)).await;
        appended.unwrap_or_else(|| {
            self.recover();
            Err(NotWritten::Panicked)
        })
    }

    /// Sets an event aside, until that works; meanwhile the gateway admits no requests.
    async fn set_aside(&mut self, event: &UsageEvent, reason: &str) -> Result<(), NotWritten> {
        let (organization, id) = (event.organization_id.clone(), event.id.as_str());
        tracing::error!(%organization, id, reason, "usage event set aside: the database refuses it");
        let mut pause = FIRST_PAUSE;
        loop {
            let (database, now) = (self.ledger.database(), self.clock.now());
            let reason = match caught(set_aside::add(database, event, reason, now)).await {
                Some(Ok(())) => break,
                Some(Err(error)) => NotWritten::Stopped(error),
                None => NotWritten::Panicked,
            };
            self.metrics.set_blocked(true);
            tracing::error!(error = %reason, id, "usage event not set aside: no request is admitted; trying again");
            if self.paused(&mut pause).await.is_err() {
                return Err(reason);
            }
        }
        self.metrics.set_blocked(false);
        self.metrics.set_set_aside(self.metrics.set_aside() + 1);
        Ok(())
    }

    /// Tries to write what was set aside.
    pub(super) async fn retry_set_aside(&mut self) {
        self.retries.since = Stopwatch::start();
        match caught(self.try_set_aside()).await {
            Some(Ok(())) => {}
            Some(Err(error)) => {
                tracing::warn!(%error, "usage events that are set aside could not be tried again");
            }
            // The next try goes on after the event that panicked.
            None => self.recover(),
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

    /// Gives up on events at the stop: the log is all that has them.
    fn lose(&self, jobs: Vec<Job>, reason: &NotWritten) {
        let error = reason.to_string();
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
