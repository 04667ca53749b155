//! `/organization/spend_limit` and `/organization/projects/{project_id}/spend_limit`: the month's spend at which requests
//! are refused.

use base::{Error, Permission, Result};
use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::level::Level;
use crate::list::Unset;
use crate::literal::literals;
use crate::operation::{
    Done, EventType, Nothing, Operation, Organization, Read, Write, read, write,
};
use crate::projects::ConfiguredProject;
use crate::spend::{Cents, Currency, Interval};
use crate::{args, tenant_sql};

pub(crate) fn operations() -> Vec<Operation> {
    const ORGANIZATION: &str = "/organization/spend_limit";
    const PROJECT: &str = "/organization/projects/{project_id}/spend_limit";
    [
        at::<Organization>(
            ORGANIZATION,
            [
                "spend-limit retrieve",
                "spend-limit update",
                "spend-limit delete",
            ],
        ),
        at::<ConfiguredProject>(
            PROJECT,
            [
                "projects:spend-limit retrieve",
                "projects:spend-limit update",
                "projects:spend-limit delete",
            ],
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn at<L: Limited>(path: &'static str, commands: [&'static str; 3]) -> [Operation; 3] {
    use Permission::{SpendRead, SpendWrite};
    const SET: &str = "Sets the spend of a month at which requests are refused.";
    [
        read(
            commands[0],
            path,
            SpendRead,
            "Retrieves the spend limit.",
            retrieve::<L>,
        ),
        write(
            commands[1],
            Method::POST,
            path,
            SpendWrite,
            SET,
            update::<L>,
        ),
        write(
            commands[2],
            Method::DELETE,
            path,
            SpendWrite,
            "Removes the spend limit.",
            delete::<L>,
        ),
    ]
}

literals! {
    OrganizationSpendLimit = "organization.spend_limit";
    OrganizationSpendLimitDeleted = "organization.spend_limit.deleted";
    ProjectSpendLimit = "project.spend_limit";
    ProjectSpendLimitDeleted = "project.spend_limit.deleted";
}

/// A level that spend is limited at.
trait Limited: Level {
    type Object: Default + Serialize + JsonSchema + Send + 'static;
    type Deleted: Default + Serialize + JsonSchema + Send + 'static;
}

impl Limited for Organization {
    type Object = OrganizationSpendLimit;
    type Deleted = OrganizationSpendLimitDeleted;
}

impl Limited for ConfiguredProject {
    type Object = ProjectSpendLimit;
    type Deleted = ProjectSpendLimitDeleted;
}

/// The month's spend at which requests are refused.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "{O}")]
struct SpendLimit<O> {
    object: O,
    /// US cents.
    threshold_amount: i64,
    currency: Currency,
    interval: Interval,
    enforcement: Enforcement,
}

/// What the spend limit does.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(inline)]
struct Enforcement {
    status: Status,
}

/// A limit that is set is enforced.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum Status {
    Enforcing,
}

impl<O: Default> SpendLimit<O> {
    /// The limit of so many cents.
    fn of(cents: i64) -> Self {
        Self {
            object: O::default(),
            threshold_amount: cents,
            currency: Currency::Usd,
            interval: Interval::Month,
            enforcement: Enforcement {
                status: Status::Enforcing,
            },
        }
    }
}

const ONE: &str = "\
    SELECT threshold_amount FROM spend_limits WHERE organization_id = $1 AND project_id = $2";

fn not_set() -> Error {
    Error::not_set("A spend limit")
}

async fn retrieve<L: Limited>(mut cx: Read, level: L, _: Nothing) -> Result<SpendLimit<L::Object>> {
    let one = tenant_sql!(cx, ONE, args![level.project_key()]);
    let cents = cx
        .fetch_optional(one, |row| row.get("threshold_amount"))
        .await?;
    Ok(SpendLimit::of(cents.ok_or_else(not_set)?))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SetSpendLimit {
    /// US cents.
    threshold_amount: Cents<1>,
    #[serde(rename = "currency")]
    _currency: Currency,
    #[serde(rename = "interval")]
    _interval: Interval,
}

async fn update<L: Limited>(
    mut cx: Write,
    level: L,
    body: SetSpendLimit,
) -> Result<Done<SpendLimit<L::Object>>> {
    let one = tenant_sql!(cx, ONE, args![level.project_key()]);
    let old: Option<i64> = cx
        .fetch_optional(one, |row| row.get("threshold_amount"))
        .await?;
    let Cents(new) = body.threshold_amount;
    let answer = SpendLimit::of(new);
    if old == Some(new) {
        return Ok(cx.unchanged(answer));
    }
    let save = tenant_sql!(
        cx,
        "INSERT INTO spend_limits (organization_id, project_id, threshold_amount) VALUES ($1, $2, $3) \
         ON CONFLICT (organization_id, project_id) DO UPDATE SET threshold_amount = excluded.threshold_amount",
        args![level.project_key(), new],
    );
    cx.execute(save).await?;
    let requested =
        json!({"threshold_amount": new, "currency": Currency::Usd, "interval": Interval::Month});
    let details = json!({"changes_requested": requested});
    let event = level.event(cx.organization(), EventType::SpendLimitUpdated, details);
    Ok(cx.done(event, answer))
}

async fn delete<L: Limited>(
    mut cx: Write,
    level: L,
    _: Nothing,
) -> Result<Done<Unset<L::Deleted>>> {
    let delete = tenant_sql!(
        cx,
        "DELETE FROM spend_limits WHERE organization_id = $1 AND project_id = $2",
        args![level.project_key()],
    );
    if cx.execute(delete).await? == 0 {
        return Err(not_set());
    }
    let event = level.event(cx.organization(), EventType::SpendLimitDeleted, json!({}));
    Ok(cx.done(event, Unset::done()))
}
