//! Notification of spend alerts: once for each alert, month and threshold, even across crashes.
//!
//! A notification is recorded in the transaction that queues its emails, so neither a restart nor another node repeats or
//! loses it. Reached alerts are found by scanning: at first all organizations, then those whose spend or settings have
//! changed since the last scan.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use ::usage::Month;
use base::NanoDollars;
use base::ids::{Id, OrganizationId};
use base::time::SECONDS_PER_DAY;
use store::{Connection, Result, Transaction, sql};
use tasks::{Task, TaskHandle};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::alert_email::alert_email;
use super::reached_alert::{ReachedAlert, delete_notices_before, record_notice, select};
use crate::Services;
use crate::mail::{self, Mail};

/// Interval of the scans for reached alerts.
const SCAN_INTERVAL: Duration = Duration::from_secs(1);
/// The age at which an undelivered email is discarded.
const MAX_EMAIL_AGE_SECONDS: i64 = 7 * SECONDS_PER_DAY;

/// The task that scans for reached alerts, with the position up to which it has scanned.
struct AlertNotifier {
    services: Arc<Services>,
    /// Position in [`::usage::Spend::changed_since`].
    moves: u64,
    revisions: HashMap<OrganizationId, i64>,
    stop: CancellationToken,
}

/// Starts the task that notifies recipients of spend alerts; it stops after the current scan.
#[must_use]
pub fn start_notifier(services: Arc<Services>) -> TaskHandle {
    tasks::start("spend alerts", |stop| AlertNotifier {
        services,
        moves: 0,
        revisions: HashMap::new(),
        stop,
    })
}

impl Task for AlertNotifier {
    async fn run(&mut self) {
        loop {
            if let Err(error) = self.scan().await {
                tracing::warn!(%error, "spend alert scan failed");
            }
            tokio::select! {
                () = tokio::time::sleep(SCAN_INTERVAL) => {}
                () = self.stop.cancelled() => return,
            }
        }
    }

    /// Resets the position: alerts that an aborted scan has found may not have been notified.
    fn recover(&mut self) {
        self.moves = 0;
        self.revisions.clear();
    }
}

impl AlertNotifier {
    /// Notifies the recipients of all reached alerts. After an error, the next scan repeats this one.
    async fn scan(&mut self) -> Result<()> {
        // Read before the data, so that concurrent changes are part of the next scan.
        let (moves, moved) = self.services.spend.changed_since(self.moves);
        let mut due: BTreeSet<_> = moved
            .into_iter()
            .map(|moved| (moved.organization_id, moved.month))
            .collect();
        let changed = self.changed_organizations().await?;
        let now = Month::of(self.services.clock.now());
        for (organization, _) in &changed {
            due.extend([now, now.before()].map(|month| (organization.clone(), month)));
        }
        let mut outcome = Ok(());
        for (organization, month) in due {
            // An error in one organization does not affect the others.
            let notified = self.notify(&organization, month).await;
            outcome = outcome.and(notified);
        }
        outcome?;
        self.moves = moves;
        self.revisions.extend(changed);
        Ok(())
    }

    /// Returns the organizations that have changed since the last scan, with their revisions.
    async fn changed_organizations(&self) -> Result<Vec<(OrganizationId, i64)>> {
        let revisions = sql!("SELECT id, revision FROM organizations");
        let mut read = self.services.store.read().await?;
        let all = read.fetch_all(revisions, |row| Ok((row.id("id")?, row.get("revision")?)));
        let mut all = all.await?;
        all.retain(|(id, revision)| self.revisions.get(id) != Some(revision));
        Ok(all)
    }

    /// Notifies the recipients of the alerts of an organization and its projects in a month.
    async fn notify(&self, organization: &OrganizationId, month: Month) -> Result<()> {
        let store = &self.services.store;
        let mut read = store.read().await?;
        if self
            .reached(&mut read, organization, month)
            .await?
            .is_empty()
        {
            return Ok(());
        }
        drop(read);
        let mut transaction = store.begin_untracked().await?;
        delete_notices_before(&mut transaction, organization, month.before()).await?;
        for alert in self.reached(&mut transaction, organization, month).await? {
            if record_notice(&mut transaction, organization, month, &alert).await? {
                self.queue_emails(&mut transaction, organization, month, &alert)
                    .await?;
            }
        }
        transaction.commit().await
    }

    async fn reached(
        &self,
        connection: &mut Connection,
        organization: &OrganizationId,
        month: Month,
    ) -> Result<Vec<ReachedAlert>> {
        let spent = self.services.spend.in_month(month, organization, None);
        if spent <= NanoDollars::default() {
            return Ok(Vec::new());
        }
        let select = select(organization, month, spent);
        let mut reached = connection.fetch_all(select, ReachedAlert::read).await?;
        reached.retain(|alert| self.spent(organization, month, alert) >= alert.threshold());
        Ok(reached)
    }

    /// Returns the spend of the organization or project of an alert.
    fn spent(
        &self,
        organization: &OrganizationId,
        month: Month,
        alert: &ReachedAlert,
    ) -> NanoDollars {
        let project = alert.project.as_ref().map(|(id, _)| id);
        self.services.spend.in_month(month, organization, project)
    }

    async fn queue_emails(
        &self,
        transaction: &mut Transaction,
        organization: &OrganizationId,
        month: Month,
        alert: &ReachedAlert,
    ) -> Result<()> {
        let (services, spent) = (&self.services, self.spent(organization, month, alert));
        let (subject, text) = alert_email(alert, organization, month, spent, &services.public_url);
        for recipient in &alert.recipients {
            let mail = Mail {
                about: alert.id.as_str(),
                recipient,
                subject: subject.clone(),
                body: Zeroizing::new(text.clone()),
                expires_at: services.clock.now().plus(MAX_EMAIL_AGE_SECONDS),
            };
            mail::queue_in_transaction(transaction, services, organization, mail).await?;
        }
        let (id, month) = (&alert.id, month.to_string());
        tracing::info!(%id, %organization, month, %spent, "spend alert emails queued");
        Ok(())
    }
}
