//! Spend alerts whose threshold is reached.

use base::email::Email;
use base::ids::{Id, OrganizationId, ProjectId, SpendAlertId};
use base::{NanoDollars, UnixTime};
use store::{Result, Row, Statement, sql};
use usage::Month;

use crate::column;

/// An alert whose threshold is reached, and whose recipients have not been notified.
pub(super) struct ReachedAlert {
    pub(super) id: SpendAlertId,
    /// Id and name of the project; `None` for an alert of the organization.
    pub(super) project: Option<(ProjectId, String)>,
    pub(super) organization_name: String,
    /// Threshold in US cents.
    pub(super) threshold_amount: i64,
    pub(super) subject_prefix: Option<String>,
    pub(super) recipients: Vec<Email>,
}

impl ReachedAlert {
    pub(super) fn read(row: &Row<'_>) -> Result<Self> {
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

    /// Returns the alert's `project_id` in tables: empty for the organization.
    pub(super) fn project_key(&self) -> &str {
        self.project.as_ref().map_or("", |(id, _)| id.as_str())
    }

    pub(super) fn threshold(&self) -> NanoDollars {
        NanoDollars::from_cents(self.threshold_amount)
    }
}

/// Selects the alerts of an organization and its projects that may be reached when their total spend is `spent`, and whose
/// recipients have not been notified.
pub(super) fn select(organization: &OrganizationId, month: Month, spent: NanoDollars) -> Statement {
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

/// Records that the recipients of an alert are notified. Returns false if another node has done so already.
pub(super) async fn record_notice(
    transaction: &mut store::Transaction,
    organization: &OrganizationId,
    month: Month,
    alert: &ReachedAlert,
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

/// Deletes the records of months before `month`.
pub(super) async fn delete_notices_before(
    transaction: &mut store::Transaction,
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
