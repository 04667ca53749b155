//! `/organization/spend_alerts` and `/organization/projects/{project_id}/spend_alerts`: spend alerts.

mod alert_email;
mod alert_notifier;
mod reached_alert;

use std::collections::BTreeSet;

use base::email::Email;
use base::ids::{Id, SpendAlertId};
use base::name::Name;
use base::{Error, Permission, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use store::{Order, PageRequest, Row, sql};

use crate::list::{Deleted, Item, List};
use crate::literal::literals;
use crate::operation::{
    Done, Event, EventType, Limit, NoParameters, Operation, OrderBy, Organization, ProjectRef,
    Read, ResourcePath, Scope, Write, operations,
};
use crate::projects::ActiveProject;
use crate::role_scope::RoleScope;
use crate::spend::{Cents, Currency, Interval};
use crate::{args, column, mail, tenant_sql};

pub use alert_notifier::start_notifier;

/// Returns the operations on the spend alerts of a scope.
macro_rules! operations_in {
    ($scope:ty: $command:literal, $path:literal) => {
        operations! {
            GET concat!($command, " list"), $path, Permission::SpendRead, "Lists spend alerts.", list::<$scope>;
            POST concat!($command, " create"), $path, Permission::SpendWrite, "Creates a spend alert.", create::<$scope>;
            GET concat!($command, " retrieve"), concat!($path, "/{alert_id}"), Permission::SpendRead,
                "Retrieves a spend alert.", retrieve::<$scope>;
            POST concat!($command, " update"), concat!($path, "/{alert_id}"), Permission::SpendWrite,
                "Modifies a spend alert.", update::<$scope>;
            DELETE concat!($command, " delete"), concat!($path, "/{alert_id}"), Permission::SpendWrite,
                "Deletes a spend alert.", delete::<$scope>;
        }
    };
}

pub(crate) fn operations() -> Vec<Operation> {
    let mut all = operations_in!(Organization: "spend-alerts", "/organization/spend_alerts");
    all.extend(operations_in!(
        ActiveProject: "projects:spend-alerts", "/organization/projects/{project_id}/spend_alerts"
    ));
    all
}

literals! {
    OrganizationSpendAlert = "organization.spend_alert";
    OrganizationSpendAlertDeleted = "organization.spend_alert.deleted";
    ProjectSpendAlert = "project.spend_alert";
    ProjectSpendAlertDeleted = "project.spend_alert.deleted";
}

/// An organization or a project, with the names of its answers about spend alerts.
trait AlertScope: RoleScope {
    type Object: Default + Serialize + JsonSchema + Send + Sync + 'static;
    type Deleted: Default + Serialize + JsonSchema + Send + 'static;
}

impl AlertScope for Organization {
    type Object = OrganizationSpendAlert;
    type Deleted = OrganizationSpendAlertDeleted;
}

impl AlertScope for ActiveProject {
    type Object = ProjectSpendAlert;
    type Deleted = ProjectSpendAlertDeleted;
}

/// A notification of recipients when the spend of a calendar month (UTC) reaches an amount.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "{O}")]
struct SpendAlert<O> {
    object: O,
    id: SpendAlertId,
    /// Amount in US cents.
    threshold_amount: i64,
    currency: Currency,
    interval: Interval,
    notification_channel: NotificationChannel,
}

/// Channel of the notification.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NotificationChannel {
    r#type: ChannelType,
    /// E-mail addresses, 1 to 20, without duplicates.
    #[schemars(length(min = 1, max = MAX_RECIPIENTS), extend("uniqueItems" = true))]
    recipients: Vec<Email>,
    /// Prefix of the emails' subjects.
    subject_prefix: Option<Name>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum ChannelType {
    Email,
}

impl<O: Default> SpendAlert<O> {
    fn read(row: &Row<'_>) -> store::Result<Self> {
        let prefix: Option<String> = row.get("subject_prefix")?;
        Ok(Self {
            object: O::default(),
            id: row.id("id")?,
            threshold_amount: row.get("threshold_amount")?,
            currency: Currency::Usd,
            interval: Interval::Month,
            notification_channel: NotificationChannel {
                r#type: ChannelType::Email,
                recipients: column::json(row, "recipients")?,
                subject_prefix: prefix.and_then(|prefix| Name::new(&prefix).ok()),
            },
        })
    }
}

impl<O> Item for SpendAlert<O> {
    fn cursor(&self) -> String {
        self.id.to_string()
    }
}

const IN_SCOPE: &str = "\
    SELECT id, threshold_amount, recipients, subject_prefix FROM spend_alerts \
    WHERE organization_id = $1 AND project_id = $2";

/// The alert that the path names.
struct NamedAlert<S: AlertScope>(S, SpendAlert<S::Object>);

impl<S: AlertScope> Scope for NamedAlert<S> {
    async fn resolve(path: &mut ResourcePath<'_>) -> Result<Self> {
        let scope = S::resolve(path).await?;
        let id: SpendAlertId = path.take()?;
        let mut one = sql!(IN_SCOPE, path.organization(), scope.project_key());
        one.push(" AND id = ").bind(&id);
        let alert = path.find(&id, one, SpendAlert::read).await?;
        Ok(Self(scope, alert))
    }

    fn project(&self) -> Option<ProjectRef<'_>> {
        self.0.project()
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListSpendAlerts {
    /// Maximum number of items on the page.
    #[serde(default)]
    limit: Limit<20, 0, 100>,
    /// Order of creation: oldest first (`asc`, the default) or newest first (`desc`).
    order: Option<OrderBy>,
    /// The id of the last alert of the previous page.
    after: Option<String>,
    /// The id of the first alert of the next page.
    before: Option<String>,
}

async fn list<S: AlertScope>(
    mut cx: Read,
    scope: S,
    query: ListSpendAlerts,
) -> Result<List<SpendAlert<S::Object>>> {
    let list = tenant_sql!(cx, IN_SCOPE, args![scope.project_key()]);
    let request = PageRequest {
        limit: query.limit.0,
        after: query.after,
        before: query.before,
        order: query.order.map_or(Order::Ascending, Order::from),
    };
    cx.list(&request, list.clone(), list, "id", SpendAlert::read)
        .await
}

/// A new alert, or all fields of a modified alert.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SetSpendAlert {
    /// Amount in US cents.
    threshold_amount: Cents<0>,
    currency: Currency,
    interval: Interval,
    notification_channel: NotificationChannel,
}

/// The most addresses of an alert.
const MAX_RECIPIENTS: usize = 20;
/// The most alerts of an organization or of a project.
const MAX_ALERTS: usize = 100;

impl SetSpendAlert {
    fn check(&self) -> Result<()> {
        const PARAM: &str = "notification_channel.recipients";
        let recipients = &self.notification_channel.recipients;
        if !(1..=MAX_RECIPIENTS).contains(&recipients.len()) {
            let message = format!("{PARAM} must have 1 to {MAX_RECIPIENTS} e-mail addresses.");
            return Err(Error::invalid(PARAM, message));
        }
        let mut seen = BTreeSet::new();
        for (index, address) in recipients.iter().enumerate() {
            if !seen.insert(address.key()) {
                let param = format!("{PARAM}[{index}]");
                let message = format!("{param} repeats an address.");
                return Err(Error::invalid(param, message));
            }
        }
        Ok(())
    }

    fn alert<O: Default>(self, id: SpendAlertId) -> SpendAlert<O> {
        SpendAlert {
            object: O::default(),
            id,
            threshold_amount: self.threshold_amount.0,
            currency: self.currency,
            interval: self.interval,
            notification_channel: self.notification_channel,
        }
    }
}

impl<O> SpendAlert<O> {
    /// Returns the fields that can be set, for the audit log.
    fn details(&self) -> Json {
        json!({
            "threshold_amount": self.threshold_amount, "currency": self.currency, "interval": self.interval,
            "notification_channel": self.notification_channel,
        })
    }

    fn columns(&self) -> [store::Value; 3] {
        let channel = &self.notification_channel;
        [
            self.threshold_amount.into(),
            json!(channel.recipients).to_string().into(),
            channel.subject_prefix.as_ref().map(Name::as_str).into(),
        ]
    }
}

async fn create<S: AlertScope>(
    mut cx: Write,
    scope: S,
    body: SetSpendAlert,
) -> Result<Done<SpendAlert<S::Object>>> {
    body.check()?;
    let existing = tenant_sql!(
        cx,
        "SELECT id FROM spend_alerts WHERE organization_id = $1 AND project_id = $2",
        args![scope.project_key()],
    );
    if cx.fetch_all(existing, |_| Ok(())).await?.len() >= MAX_ALERTS {
        let message = format!("There are {MAX_ALERTS} spend alerts already. Delete one first.");
        return Err(Error::refused("too_many_spend_alerts", message));
    }
    let alert: SpendAlert<S::Object> = body.alert(cx.new_id());
    let mut values = args![scope.project_key(), &alert.id, cx.now()];
    values.extend(alert.columns());
    let insert = tenant_sql!(
        cx,
        "INSERT INTO spend_alerts (organization_id, project_id, id, threshold_set_at, threshold_amount, recipients, \
             subject_prefix) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        values,
    );
    cx.execute(insert).await?;
    let details = json!({"data": alert.details()});
    let event = Event::new(EventType::SpendAlertCreated, &alert.id, details);
    Ok(cx.done(event, alert))
}

async fn retrieve<S: AlertScope>(
    _: Read,
    NamedAlert(_, alert): NamedAlert<S>,
    _: NoParameters,
) -> Result<SpendAlert<S::Object>> {
    Ok(alert)
}

async fn update<S: AlertScope>(
    mut cx: Write,
    NamedAlert(scope, old): NamedAlert<S>,
    body: SetSpendAlert,
) -> Result<Done<SpendAlert<S::Object>>> {
    body.check()?;
    let new: SpendAlert<S::Object> = body.alert(old.id.clone());
    if old.details() == new.details() {
        return Ok(cx.unchanged(new));
    }
    let mut values = args![scope.project_key(), &new.id, cx.now()];
    values.extend(new.columns());
    let update = tenant_sql!(
        cx,
        "UPDATE spend_alerts SET \
             threshold_set_at = CASE WHEN threshold_amount = $5 THEN threshold_set_at ELSE $4 END, \
             threshold_amount = $5, recipients = $6, subject_prefix = $7 \
         WHERE organization_id = $1 AND project_id = $2 AND id = $3",
        values,
    );
    cx.execute(update).await?;
    let details = json!({"changes_requested": new.details()});
    let event = Event::new(EventType::SpendAlertUpdated, &new.id, details);
    Ok(cx.done(event, new))
}

async fn delete<S: AlertScope>(
    mut cx: Write,
    NamedAlert(scope, SpendAlert { id, .. }): NamedAlert<S>,
    _: NoParameters,
) -> Result<Done<Deleted<S::Deleted>>> {
    mail::withdraw(&mut cx, id.as_str()).await?;
    let delete = tenant_sql!(
        cx,
        "DELETE FROM spend_alerts WHERE organization_id = $1 AND project_id = $2 AND id = $3",
        args![scope.project_key(), &id],
    );
    cx.execute(delete).await?;
    let answer = Deleted::new(S::Deleted::default(), &id);
    let event = Event::new(EventType::SpendAlertDeleted, &id, json!({}));
    Ok(cx.done(event, answer))
}
