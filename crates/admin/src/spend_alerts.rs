//! `/organization/spend_alerts` and `/organization/projects/{project_id}/spend_alerts`: who is told at what spend.

mod letter;
mod notices;

use std::collections::BTreeSet;

use base::email::Email;
use base::ids::{Id, OrganizationId, SpendAlertId};
use base::name::Name;
use base::{Error, Permission, Result};
use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use store::{Connection, Order, PageRequest, Row, sql};

use crate::level::Level;
use crate::list::{Deleted, Item, List};
use crate::literal::literals;
use crate::operation::{
    Done, Event, EventType, Limit, Nothing, Operation, OrderBy, Organization, PathIds, Read, Scope,
    Write, read, write,
};
use crate::projects::{ActiveProject, Project};
use crate::spend::{Cents, Currency, Interval};
use crate::{args, column, mail, tenant_sql};

pub use notices::SpendAlertsTask;

pub(crate) fn operations() -> Vec<Operation> {
    [
        at::<Organization>(
            [
                "/organization/spend_alerts",
                "/organization/spend_alerts/{alert_id}",
            ],
            [
                "spend-alerts list",
                "spend-alerts create",
                "spend-alerts retrieve",
                "spend-alerts update",
                "spend-alerts delete",
            ],
        ),
        at::<ActiveProject>(
            [
                "/organization/projects/{project_id}/spend_alerts",
                "/organization/projects/{project_id}/spend_alerts/{alert_id}",
            ],
            [
                "projects:spend-alerts list",
                "projects:spend-alerts create",
                "projects:spend-alerts retrieve",
                "projects:spend-alerts update",
                "projects:spend-alerts delete",
            ],
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn at<L: Alerted>([all, one]: [&'static str; 2], commands: [&'static str; 5]) -> [Operation; 5] {
    use Permission::{SpendRead as CanRead, SpendWrite as CanWrite};
    let [list_them, create_one, retrieve_one, update_one, delete_one] = commands;
    [
        read(list_them, all, CanRead, "Lists spend alerts.", list::<L>),
        write(
            create_one,
            Method::POST,
            all,
            CanWrite,
            "Creates a spend alert.",
            create::<L>,
        ),
        read(
            retrieve_one,
            one,
            CanRead,
            "Retrieves a spend alert.",
            retrieve::<L>,
        ),
        write(
            update_one,
            Method::POST,
            one,
            CanWrite,
            "Modifies a spend alert.",
            update::<L>,
        ),
        write(
            delete_one,
            Method::DELETE,
            one,
            CanWrite,
            "Deletes a spend alert.",
            delete::<L>,
        ),
    ]
}

literals! {
    OrganizationSpendAlert = "organization.spend_alert";
    OrganizationSpendAlertDeleted = "organization.spend_alert.deleted";
    ProjectSpendAlert = "project.spend_alert";
    ProjectSpendAlertDeleted = "project.spend_alert.deleted";
}

/// A level that has spend alerts.
trait Alerted: Level {
    type Object: Default + Serialize + JsonSchema + Send + Sync + 'static;
    type Deleted: Default + Serialize + JsonSchema + Send + 'static;
}

impl Alerted for Organization {
    type Object = OrganizationSpendAlert;
    type Deleted = OrganizationSpendAlertDeleted;
}

impl Alerted for ActiveProject {
    type Object = ProjectSpendAlert;
    type Deleted = ProjectSpendAlertDeleted;
}

/// Who is told when the month's spend passes an amount.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "{O}")]
struct SpendAlert<O> {
    object: O,
    id: SpendAlertId,
    /// US cents.
    threshold_amount: i64,
    currency: Currency,
    interval: Interval,
    notification_channel: NotificationChannel,
}

/// How somebody is told.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NotificationChannel {
    r#type: ChannelType,
    /// E-mail addresses: 1 to 20, each once.
    #[schemars(length(min = 1, max = MOST_RECIPIENTS), extend("uniqueItems" = true))]
    recipients: Vec<Email>,
    /// What the subjects of the mails begin with.
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

const OF_LEVEL: &str = "\
    SELECT id, threshold_amount, recipients, subject_prefix FROM spend_alerts \
    WHERE organization_id = $1 AND project_id = $2";

/// The alert that a path names.
struct Named<L: Alerted>(L, SpendAlert<L::Object>);

impl<L: Alerted> Scope for Named<L> {
    async fn resolve(
        connection: &mut Connection,
        organization: &OrganizationId,
        ids: &mut PathIds<'_>,
    ) -> Result<Self> {
        let level = L::resolve(connection, organization, ids).await?;
        let id: SpendAlertId = ids.take()?;
        let mut one = sql!(OF_LEVEL, organization, level.project_key());
        one.push(" AND id = ").bind(&id);
        let found = connection.fetch_optional(one, SpendAlert::read).await?;
        let alert = found.ok_or_else(|| Error::not_found(SpendAlertId::NOUN, id.as_str()))?;
        Ok(Self(level, alert))
    }

    fn project(&self) -> Option<&Project> {
        self.0.project()
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListSpendAlerts {
    /// How many at the most.
    #[serde(default)]
    limit: Limit<20, 0, 100>,
    /// Oldest first (`asc`, the default) or newest first (`desc`).
    order: Option<OrderBy>,
    /// The id of the last alert of the page before.
    after: Option<String>,
    /// The id of the first alert of the page after.
    before: Option<String>,
}

async fn list<L: Alerted>(
    mut cx: Read,
    level: L,
    query: ListSpendAlerts,
) -> Result<List<SpendAlert<L::Object>>> {
    let list = tenant_sql!(cx, OF_LEVEL, args![level.project_key()]);
    let request = PageRequest {
        limit: query.limit.0,
        after: query.after,
        before: query.before,
        order: query.order.map_or(Order::Ascending, Order::from),
    };
    Ok(cx
        .page(&request, list.clone(), list, "id", SpendAlert::read)
        .await?
        .into())
}

/// All of an alert but its id: it is created and modified as a whole.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SetSpendAlert {
    /// US cents.
    threshold_amount: Cents<0>,
    currency: Currency,
    interval: Interval,
    notification_channel: NotificationChannel,
}

/// The most addresses of an alert.
const MOST_RECIPIENTS: usize = 20;
/// The most alerts of an organization or of a project.
const MOST_ALERTS: usize = 100;

impl SetSpendAlert {
    fn check(&self) -> Result<()> {
        const PARAM: &str = "notification_channel.recipients";
        let recipients = &self.notification_channel.recipients;
        if !(1..=MOST_RECIPIENTS).contains(&recipients.len()) {
            let message = format!("{PARAM} must have 1 to {MOST_RECIPIENTS} e-mail addresses.");
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
    /// The fields that can be set, for the audit log.
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

async fn create<L: Alerted>(
    mut cx: Write,
    level: L,
    body: SetSpendAlert,
) -> Result<Done<SpendAlert<L::Object>>> {
    body.check()?;
    let existing = tenant_sql!(
        cx,
        "SELECT id FROM spend_alerts WHERE organization_id = $1 AND project_id = $2",
        args![level.project_key()],
    );
    if cx.fetch_all(existing, |_| Ok(())).await?.len() >= MOST_ALERTS {
        let message = format!("There are {MOST_ALERTS} spend alerts already. Delete one first.");
        return Err(Error::refused("too_many_spend_alerts", message));
    }
    let alert: SpendAlert<L::Object> = body.alert(cx.new_id());
    let mut values = args![level.project_key(), &alert.id, cx.now()];
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

async fn retrieve<L: Alerted>(
    _: Read,
    Named(_, alert): Named<L>,
    _: Nothing,
) -> Result<SpendAlert<L::Object>> {
    Ok(alert)
}

async fn update<L: Alerted>(
    mut cx: Write,
    Named(level, old): Named<L>,
    body: SetSpendAlert,
) -> Result<Done<SpendAlert<L::Object>>> {
    body.check()?;
    let new: SpendAlert<L::Object> = body.alert(old.id.clone());
    if old.details() == new.details() {
        return Ok(cx.unchanged(new));
    }
    let mut values = args![level.project_key(), &new.id, cx.now()];
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

async fn delete<L: Alerted>(
    mut cx: Write,
    Named(level, SpendAlert { id, .. }): Named<L>,
    _: Nothing,
) -> Result<Done<Deleted<L::Deleted>>> {
    mail::withdraw(&mut cx, id.as_str()).await?;
    let delete = tenant_sql!(
        cx,
        "DELETE FROM spend_alerts WHERE organization_id = $1 AND project_id = $2 AND id = $3",
        args![level.project_key(), &id],
    );
    cx.execute(delete).await?;
    let answer = Deleted::new(L::Deleted::default(), &id);
    let event = Event::new(EventType::SpendAlertDeleted, &id, json!({}));
    Ok(cx.done(event, answer))
}
