//! The task that does what a sign-in leaves behind: mails of links, and entries of failures in the audit log. A request only
//! queues the work, so that its answer and the time it takes are the same whether a user has an address or not.

use std::collections::HashMap;
use std::sync::Arc;

use admin::Services;
use admin::credentials::attempts::Attempt;
use admin::credentials::provider_sign_in::{ProviderRefusal, record_refusal};
use admin::credentials::{Account, accounts, links};
use base::{ClientAddress, Result, UnixTime};
use tasks::{Task, TaskHandle};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// The most jobs that wait.
const QUEUE_CAPACITY: usize = 256;
/// The least time between two entries for the same provider and reason, in seconds.
const REPORT_INTERVAL_SECONDS: i64 = 60;

/// Work that a sign-in leaves behind.
pub(crate) enum SignInJob {
    /// Mails links to the users with an address, if there are any.
    MailLinks(String),
    /// Records a wrong password.
    RecordFailure(Attempt, Vec<Account>),
    /// Records a sign-in that was refused at an identity provider.
    RecordRefusal(ProviderRefusal),
}

/// The sender of jobs. Never blocks.
pub(crate) struct SignInJobs(mpsc::Sender<(SignInJob, Option<ClientAddress>)>);

struct SignInTask {
    stop: CancellationToken,
    services: Arc<Services>,
    jobs: mpsc::Receiver<(SignInJob, Option<ClientAddress>)>,
    refusals: ProviderRefusals,
}

/// Refusals at identity providers since the last entry in the audit log, by provider and reason.
#[derive(Default)]
struct ProviderRefusals(HashMap<(String, &'static str), RefusalCount>);

struct RefusalCount {
    reported_at: UnixTime,
    unreported: u64,
}

impl ProviderRefusals {
    /// Counts a refusal. Returns the number of those since the last entry if another entry is due.
    fn count(&mut self, refusal: &ProviderRefusal, now: UnixTime) -> Option<u64> {
        let key = (refusal.provider.clone(), refusal.code);
        let Some(count) = self.0.get_mut(&key) else {
            let count = RefusalCount {
                reported_at: now,
                unreported: 0,
            };
            self.0.insert(key, count);
            return Some(0);
        };
        if count.reported_at.plus(REPORT_INTERVAL_SECONDS) > now {
            count.unreported += 1;
            return None;
        }
        count.reported_at = now;
        Some(std::mem::take(&mut count.unreported))
    }
}

impl SignInJobs {
    /// Starts the task.
    pub(crate) fn start(services: &Arc<Services>) -> (Self, TaskHandle) {
        let (sender, jobs) = mpsc::channel(QUEUE_CAPACITY);
        let services = Arc::clone(services);
        let task = tasks::start("sign-in", |stop| SignInTask {
            stop,
            services,
            jobs,
            refusals: ProviderRefusals::default(),
        });
        (Self(sender), task)
    }

    /// Queues a job for a client; false if too many wait.
    pub(crate) fn queue(&self, job: SignInJob, client: Option<ClientAddress>) -> bool {
        self.0.try_send((job, client)).is_ok()
    }
}

impl Task for SignInTask {
    async fn run(&mut self) {
        loop {
            // What is queued at the stop is done, since no request queues any more then.
            let job = tokio::select! {
                biased;
                job = self.jobs.recv() => job,
                () = self.stop.cancelled() => None,
            };
            let Some((job, client)) = job else { return };
            if let Err(error) = self.run_job(job, client).await {
                tracing::warn!(%error, "sign-in job failed");
            }
        }
    }
}

impl SignInTask {
    async fn run_job(&mut self, job: SignInJob, client: Option<ClientAddress>) -> Result<()> {
        match job {
            SignInJob::MailLinks(email) => {
                let accounts = accounts(&self.services, &email).await?;
                links::mail_links(&self.services, &accounts, client).await
            }
            SignInJob::RecordFailure(attempt, accounts) => {
                attempt.failed(&self.services, &accounts, client).await
            }
            SignInJob::RecordRefusal(mut refusal) => {
                let now = self.services.clock.now();
                let Some(more) = self.refusals.count(&refusal, now) else {
                    return Ok(());
                };
                refusal.more = more;
                record_refusal(&self.services, &refusal, client).await
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_at_a_provider_are_reported_once_a_minute_for_each_reason() {
        let refusal = |code| ProviderRefusal {
            organization_id: base::ids::Id::from_text("org-1".to_owned()),
            provider: "company".to_owned(),
            code,
            problem: String::new(),
            email: None,
            more: 0,
        };
        let mut refusals = ProviderRefusals::default();
        let mut count = |code, time| refusals.count(&refusal(code), UnixTime(time));
        assert_eq!(count("state", 100), Some(0));
        assert_eq!(count("state", 101), None);
        assert_eq!(count("state", 159), None);
        assert_eq!(count("nonce", 159), Some(0), "another reason");
        assert_eq!(count("state", 160), Some(2));
        assert_eq!(count("state", 300), Some(0));
    }
}
