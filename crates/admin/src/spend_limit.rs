//! `/organization/spend_limit` and `/organization/projects/{project_id}/spend_limit`: spend limits.

use base::{Error, Permission, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use settings::{DeletableSetting, SpendLimit};

use crate::literal::literals;
use crate::operation::{Operation, Organization};
use crate::projects::ConfiguredProject;
use crate::role_scope::RoleScope;
use crate::setting::{DeletableResource, SettingPath, SettingResource};
use crate::spend::{Cents, Currency, Interval};

pub(crate) fn operations() -> Vec<Operation> {
    const RETRIEVE: &str = "Retrieves the spend limit.";
    const SET: &str = "Sets the monthly spend at which requests are refused.";
    const REMOVE: &str = "Removes the spend limit.";
    let at = |path| SettingPath {
        path,
        read: Permission::SpendRead,
        write: Permission::SpendWrite,
    };
    let whole = at("/organization/spend_limit");
    let project = at("/organization/projects/{project_id}/spend_limit");
    vec![
        whole.retrieve::<SpendLimit, Organization>("spend-limit retrieve", RETRIEVE),
        whole.update::<SpendLimit, Organization>("spend-limit update", SET),
        whole.delete::<SpendLimit, Organization>("spend-limit delete", REMOVE),
        project
            .retrieve::<SpendLimit, ConfiguredProject>("projects:spend-limit retrieve", RETRIEVE),
        project.update::<SpendLimit, ConfiguredProject>("projects:spend-limit update", SET),
        project.delete::<SpendLimit, ConfiguredProject>("projects:spend-limit delete", REMOVE),
    ]
}

literals! {
    OrganizationSpendLimit = "organization.spend_limit";
    OrganizationSpendLimitDeleted = "organization.spend_limit.deleted";
    ProjectSpendLimit = "project.spend_limit";
    ProjectSpendLimitDeleted = "project.spend_limit.deleted";
}

/// An organization or a project, with the names of its answers about spend limits.
pub(crate) trait SpendLimitScope: RoleScope {
    type Object: Default + PartialEq + Serialize + JsonSchema + Send + 'static;
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
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "{O}")]
pub(crate) struct SpendLimitAnswer<O> {
    object: O,
    /// Amount in US cents.
    threshold_amount: i64,
    currency: Currency,
    interval: Interval,
    enforcement: Enforcement,
}

/// Enforcement of the spend limit.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(inline)]
pub(crate) struct Enforcement {
    status: EnforcementStatus,
}

/// State of the enforcement. A limit that is set is always enforced.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(crate) enum EnforcementStatus {
    Enforcing,
}

#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetSpendLimit {
    /// Amount in US cents.
    threshold_amount: Cents<1>,
    currency: Currency,
    interval: Interval,
}

impl<S: SpendLimitScope> SettingResource<S> for SpendLimit {
    type Body = SetSpendLimit;
    type Answer = SpendLimitAnswer<S::Object>;

    fn apply(_: Option<&Self>, body: SetSpendLimit) -> Result<Self> {
        Ok(Self {
            cents: body.threshold_amount.0,
        })
    }

    fn answer(limit: Option<&Self>) -> Result<Self::Answer> {
        let limit = limit.ok_or_else(|| Error::not_set(Self::NOUN))?;
        Ok(SpendLimitAnswer {
            object: S::Object::default(),
            threshold_amount: limit.cents,
            currency: Currency::Usd,
            interval: Interval::Month,
            enforcement: Enforcement {
                status: EnforcementStatus::Enforcing,
            },
        })
    }
}

impl<S: SpendLimitScope> DeletableResource<S> for SpendLimit {
    type Deleted = S::Deleted;
}
