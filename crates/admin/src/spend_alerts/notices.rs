//! Tells of alerts whose threshold is reached: once for each alert, month and threshold, whoever is killed meanwhile.
//!
//! That an alert was told of is a row, committed together with its mails; so neither a restart nor another node tells of
//! it again, and none is lost. What is left to tell is found by looking: at the organizations that have spent something
//! or changed their settings since the last look, and at all of them in the first.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use ::usage::Month;
use base::email::Email;
use base::ids::{Id, OrganizationId, ProjectId, SpendAlertId};
use base::time::DAY;
use base::{NanoDollars, UnixTime};
use store::{Connection, Result, Row, Statement, Transaction, sql};
use tasks::{Health, Task, TaskHandle};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::letter::letter;
use crate::mail::{self, Mail};
use crate::{Services, column};

/// How often is looked for alerts.
const EVERY: Duration = Duration::from_secs(1);
/// For how long a mail is of use, in seconds.
const USEFUL: i64 = 7 * DAY;

/// Tells of alerts until it is stopped.
pub struct SpendAlertsTask(TaskHandle);

/// What has been looked at.
struct Watch {
    services: Arc<Services>,
    /// A number of [`::usage::Spend::moved_since`].
    moves: u64,
    revisions: HashMap<OrganizationId, i64>,
    stop: CancellationToken,
}

/// An alert whose threshold is reached, and that nobody was told of.
pub(super) struct Reached {
    pub(super) id: SpendAlertId,
    /// The project and its name; none of an alert of the organization.
    pub(super) project: Option<(ProjectId, String)>,
    pub(super) organization_name: String,
    /// US cents.
    pub(super) threshold_amount: i64,
    pub(super) subject_prefix: Option<String>,
    recipients: Vec<Email>,
}

impl Reached {
    fn read(row: &Row<'_>) -> Result<Self> {
        let name: Option<String> = row.get("project_name")?;
        let id: ProjectId = row.id("project_id")?;
        Ok(Self {
            id: row.id("id")?,
            project: name.map(|name| (id, name)),
            organization_name: row.get("organization_name")?,
            threshold_amount: row.get("threshold_amount")?,
            subject_prefix: row.get("subject_prefix")?,
            recipients: column::json(row, "recipients")?,
        })
    }

    fn project_key(&self) -> &str {
        self.project.as_ref().map_or("", |(id, _)| id.as_str())
    }
}

impl SpendAlertsTask {
    /// Starts it, on the runtime that this is called in.
    #[must_use]
    pub fn start(services: Arc<Services>) -> Self {
        Self(tasks::start("spend alerts", |stop| Watch {
            services,
            moves: 0,
            revisions: HashMap::new(),
            stop,
        }))
    }

    /// Ends it after the look that is under way.
    pub async fn stop(self) {
        self.0.stop().await;
    }

    /// Returns the health of the watch.
    #[must_use]
    pub fn health(&self) -> &Health {
        self.0.health()
    }
}

impl Task for Watch {
    async fn run(&mut self) {
        loop {
            if let Err(error) = self.look().await {
                tracing::warn!(%error, "spend alerts could not be looked for");
            }
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = self.stop.cancelled() => return,
            }
        }
    }

    /// Looks at everything again: what a look has taken note of may not have been told.
    fn recover(&mut self) {
        self.moves = 0;
        self.revisions.clear();
    }
}

impl Watch {
    /// Tells what is to be told. What fails is looked at again the next time.
    async fn look(&mut self) -> Result<()> {
        // Noted before the data is read: what happens meanwhile is looked at again.
        let (moves, moved) = self.services.spend.moved_since(self.moves);
        let mut due: BTreeSet<_> = moved
            .into_iter()
            .map(|moved| (moved.organization_id, moved.month))
            .collect();
        let changed = self.changed().await?;
        let now = Month::of(self.services.clock.now());
        for (organization, _) in &changed {
            due.extend([now, now.before()].map(|month| (organization.clone(), month)));
        }
        let mut outcome = Ok(());
        for (organization, month) in due {
            // One organization that fails keeps nothing from the others.
            let told = self.tell(&organization, month).await;
            outcome = outcome.and(told);
        }
        outcome?;
        self.moves = moves;
        self.revisions.extend(changed);
        Ok(())
    }

    /// The organizations in which something was changed, and their revisions.
    async fn changed(&self) -> Result<Vec<(OrganizationId, i64)>> {
        let revisions = sql!("SELECT id, revision FROM organizations");
        let mut read = self.services.store.read().await?;
        let all = read.fetch_all(revisions, |row| Ok((row.id("id")?, row.get("revision")?)));
        let mut all = all.await?;
        all.retain(|(id, revision)| self.revisions.get(id) != Some(revision));
        Ok(all)
    }

    /// Tells of what an organization and its projects have spent in a month.
    async fn tell(&self, organization: &OrganizationId, month: Month) -> Result<()> {
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
        forget_before(&mut transaction, organization, month.before()).await?;
        for alert in self.reached(&mut transaction, organization, month).await? {
            if take(&mut transaction, organization, month, &alert).await? {
                self.mail(&mut transaction, organization, month, &alert)
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
    ) -> Result<Vec<Reached>> {
        let spent = self.services.spend.in_month(month, organization, None);
        if spent <= NanoDollars::default() {
            return Ok(Vec::new());
        }
        let select = select(organization, month, spent);
        let mut reached = connection.fetch_all(select, Reached::read).await?;
        reached.retain(|alert| self.spent(organization, month, alert) >= alert.threshold());
        Ok(reached)
    }

    /// What the organization or the project that an alert is for has spent.
    fn spent(&self, organization: &OrganizationId, month: Month, alert: &Reached) -> NanoDollars {
        let project = alert.project.as_ref().map(|(id, _)| id);
        self.services.spend.in_month(month, organization, project)
    }

    async fn mail(
        &self,
        transaction: &mut Transaction,
        organization: &OrganizationId,
        month: Month,
        alert: &Reached,
    ) -> Result<()> {
        let (services, spent) = (&self.services, self.spent(organization, month, alert));
        let (subject, text) = letter(alert, organization, month, spent, &services.public_url);
        for recipient in &alert.recipients {
            let mail = Mail {
                about: alert.id.as_str(),
                recipient,
                subject: subject.clone(),
                body: Zeroizing::new(text.clone()),
                expires_at: services.clock.now().plus(USEFUL),
            };
            mail::queue_quietly(transaction, services, organization, mail).await?;
        }
        let (id, month) = (&alert.id, month.to_string());
        tracing::info!(%id, %organization, month, %spent, "a spend alert is mailed");
        Ok(())
    }
}

impl Reached {
    fn threshold(&self) -> NanoDollars {
        NanoDollars::from_cents(self.threshold_amount)
    }
}

/// Selects the alerts of an organization and of its projects that may be reached when all of them together have spent
/// this much, and of which nobody was told.
fn select(organization: &OrganizationId, month: Month, spent: NanoDollars) -> Statement {
    sql!(
        "SELECT a.id, a.project_id, a.threshold_amount, a.recipients, a.subject_prefix, \
         o.name AS organization_name, p.name AS project_name \
         FROM spend_alerts a JOIN organizations o ON o.id = a.organization_id \
         LEFT JOIN projects p ON p.organization_id = a.organization_id AND p.id = a.project_id \
         WHERE a.organization_id = $1 AND a.threshold_amount <= $2 AND a.threshold_set_at < $3 \
         AND NOT EXISTS (SELECT 1 FROM spend_notices n \
         WHERE n.organization_id = a.organization_id AND n.project_id = a.project_id AND n.alert_id = a.id \
         AND n.month = $4 AND n.threshold_amount = a.threshold_amount) \
         ORDER BY a.project_id, a.id",
        organization,
        spent.whole_cents(),
        month.end,
        month.start
    )
}

/// Makes it this node's to tell of an alert; false when another was faster.
async fn take(
    transaction: &mut Transaction,
    organization: &OrganizationId,
    month: Month,
    alert: &Reached,
) -> Result<bool> {
    let insert = sql!(
        "INSERT INTO spend_notices (organization_id, project_id, alert_id, month, threshold_amount) \
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
        organization,
        alert.project_key(),
        &alert.id,
        month.start,
        alert.threshold_amount
    );
    Ok(transaction.execute(insert).await? == 1)
}

/// Forgets the months before this one, which nobody asks about any more.
async fn forget_before(
    transaction: &mut Transaction,
    organization: &OrganizationId,
    month: Month,
) -> Result<()> {
    let start: UnixTime = month.start;
    let delete = sql!(
        "DELETE FROM spend_notices WHERE organization_id = $1 AND month < $2",
        organization,
        start
    );
    transaction.execute(delete).await?;
    Ok(())
}
