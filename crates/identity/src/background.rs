//! The task that does what a sign-in leaves behind: mails of links, and entries of failures in the audit log. A request only
//! queues the work, so that its answer and the time it takes are the same whether a user has an address or not.

use std::sync::Arc;

use admin::Services;
use admin::credentials::attempts::Attempt;
use admin::credentials::{Account, accounts, links};
use base::{ClientAddress, Result};
use tasks::{Task, TaskHandle};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// The most jobs that wait.
const QUEUE_CAPACITY: usize = 256;

/// Work that a sign-in leaves behind.
pub(crate) enum SignInJob {
    /// Mails links to the users with an address, if there are any.
    MailLinks(String),
    /// Records a wrong password.
    RecordFailure(Attempt, Vec<Account>),
}

/// The sender of jobs. Never blocks.
pub(crate) struct SignInJobs(mpsc::Sender<(SignInJob, Option<ClientAddress>)>);

struct SignInTask {
    stop: CancellationToken,
    services: Arc<Services>,
    jobs: mpsc::Receiver<(SignInJob, Option<ClientAddress>)>,
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
    async fn run_job(&self, job: SignInJob, client: Option<ClientAddress>) -> Result<()> {
        match job {
            SignInJob::MailLinks(email) => {
                let accounts = accounts(&self.services, &email).await?;
                links::mail_links(&self.services, &accounts, client).await
            }
            SignInJob::RecordFailure(attempt, accounts) => {
                attempt.failed(&self.services, &accounts, client).await
            }
        }
    }
}
