//! `/organization/spend_limit` and `/organization/projects/{project_id}/spend_limit`: spend limits.

use base::{Error, Permission, Result};
use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use settings::{RowSetting, Setting, SpendLimit};

use crate::list::Unset;
use crate::literal::literals;
use crate::operation::{
    Done, EventType, NoParameters, Operation, Organization, Read, Write, read, write,
};
use crate::projects::ConfiguredProject;
use crate::role_scope::RoleScope;
use crate::setting;
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

fn at<S: SpendLimitScope>(path: &'static str, commands: [&'static str; 3]) -> [Operation; 3] {
    use Permission::{SpendRead, SpendWrite};
    const SET: &str = "Sets the monthly spend at which requests are refused.";
    [
        read(
            commands[0],
            path,
            SpendRead,
            "Retrieves the spend limit.",
            retrieve::<S>,
        ),
        write(
            commands[1],
            Method::POST,
            path,
            SpendWrite,
            SET,
            update::<S>,
        ),
        write(
            commands[2],
            Method::DELETE,
            path,
            SpendWrite,
            "Removes the spend limit.",
            delete::<S>,
        ),
    ]
}

literals! {
    OrganizationSpendLimit = "organization.spend_limit";
    OrganizationSpendLimitDeleted = "organization.spend_limit.deleted";
    ProjectSpendLimit = "project.spend_limit";
    ProjectSpendLimitDeleted = "project.spend_limit.deleted";
}

/// An organization or a project, with the names of its answers about spend limits.
trait SpendLimitScope: RoleScope {
    type Object: Default + Serialize + JsonSchema + Send + 'static;
    type Deleted: Default + Serialize + JsonSchema + Send + 'static;
}

impl SpendLimitScope for Organization {
    type Object = OrganizationSpendLimit;
    type Deleted = OrganizationSpendLimitDeleted;
}

impl SpendLimitScope for ConfiguredProject {
    type Object = ProjectSpendLimit;
    type Deleted = ProjectSpendLimitDeleted;
}

/// Spend of a calendar month (UTC) at which requests are refused.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "{O}")]
struct SpendLimitAnswer<O> {
    object: O,
    /// Amount in US cents.
    threshold_amount: i64,
    currency: Currency,
    interval: Interval,
    enforcement: Enforcement,
}

/// Enforcement of the spend limit.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(inline)]
struct Enforcement {
    status: EnforcementStatus,
}

/// State of the enforcement. A limit that is set is always enforced.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum EnforcementStatus {
    Enforcing,
}

impl<O: Default> SpendLimitAnswer<O> {
    fn of(limit: SpendLimit) -> Self {
        Self {
            object: O::default(),
            threshold_amount: limit.cents,
            currency: Currency::Usd,
            interval: Interval::Month,
            enforcement: Enforcement {
                status: EnforcementStatus::Enforcing,
            },
        }
    }
}

fn not_set() -> Error {
    Error::not_set("A spend limit")
}

async fn retrieve<S: SpendLimitScope>(
    mut cx: Read,
    scope: S,
    _: NoParameters,
) -> Result<SpendLimitAnswer<S::Object>> {
    let one = tenant_sql!(cx, SpendLimit::SELECT_ONE, args![scope.project_key()]);
    let limit = cx.fetch_optional(one, SpendLimit::read).await?;
    Ok(SpendLimitAnswer::of(limit.ok_or_else(not_set)?))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SetSpendLimit {
    /// Amount in US cents.
    threshold_amount: Cents<1>,
    #[serde(rename = "currency")]
    _currency: Currency,
    #[serde(rename = "interval")]
    _interval: Interval,
}

async fn update<S: SpendLimitScope>(
    mut cx: Write,
    scope: S,
    body: SetSpendLimit,
) -> Result<Done<SpendLimitAnswer<S::Object>>> {
    let one = tenant_sql!(cx, SpendLimit::SELECT_ONE, args![scope.project_key()]);
    let old = cx.fetch_optional(one, SpendLimit::read).await?;
    let new = SpendLimit {
        cents: body.threshold_amount.0,
    };
    let answer = SpendLimitAnswer::of(new);
    if old == Some(new) {
        return Ok(cx.unchanged(answer));
    }
    setting::save(&mut cx, &scope, &new).await?;
    let requested = json!({
        "threshold_amount": new.cents, "currency": Currency::Usd, "interval": Interval::Month,
    });
    let details = json!({"changes_requested": requested});
    let event = scope.event(cx.organization(), EventType::SpendLimitUpdated, details);
    Ok(cx.done(event, answer))
}

async fn delete<S: SpendLimitScope>(
    mut cx: Write,
    scope: S,
    _: NoParameters,
) -> Result<Done<Unset<S::Deleted>>> {
    if !setting::delete::<SpendLimit>(&mut cx, &scope).await? {
        return Err(not_set());
    }
    let event = scope.event(cx.organization(), EventType::SpendLimitDeleted, json!({}));
    Ok(cx.done(event, Unset::done()))
}
