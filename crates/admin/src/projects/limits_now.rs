//! `/organization/projects/{project_id}/limits_now`: what of the limits of a project is used at this moment.

use std::collections::BTreeMap;

use base::ids::{Id, ProjectId, RateLimitId};
use base::{NanoDollars, Permission, Result, UnixTime};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use settings::{LimitField, ModelLimits, RateLimits, RowSetting, Setting, SpendLimit};

use super::ConfiguredProject;
use crate::literal::literals;
use crate::operation::{NoParameters, Operation, Read, operations};
use crate::rate_limit_usage::{LimitUse, ModelUse};
use crate::{args, tenant_sql};

pub(crate) fn operations() -> Vec<Operation> {
    use Permission::ProjectSettingsRead as CanRead;
    const NOW: &str = "/organization/projects/{project_id}/limits_now";
    const ABOUT: &str =
        "Retrieves what of the project's rate limits and spend limit is used at this moment.";
    operations! {
        GET "projects:limits-now retrieve", NOW, CanRead, ABOUT, retrieve, extension;
    }
}

literals! {
    LimitsNowObject = "organization.project.limits_now";
    /// Rate limits are counted by each node on its own.
    CountedByNode = "node";
}

/// The use of a project's limits at a moment.
#[derive(Serialize, JsonSchema)]
struct LimitsNow {
    object: LimitsNowObject,
    project_id: ProjectId,
    /// Time of the figures.
    as_of: UnixTime,
    /// Spend of the current month; null for a caller without `api.spend.read`.
    spend: Option<SpendNow>,
    /// The figures of rate limits are those of the node that answers, which counts only its own requests.
    rate_limits_counted_by: CountedByNode,
    /// Models whose limits were set or of which something is used, by name. All other models have their default limits.
    rate_limits: Vec<ModelLimitsNow>,
}

/// The spend of a project in a calendar month (UTC), on all nodes.
#[derive(Serialize, JsonSchema)]
struct SpendNow {
    start_time: UnixTime,
    end_time: UnixTime,
    /// Spend at which requests are refused; null without a limit.
    limit: Option<MoneyAmount>,
    /// Cost of what is in the ledger.
    spent: MoneyAmount,
    /// The most that requests under way may cost, which is reserved while there is a limit.
    reserved: MoneyAmount,
}

#[derive(Serialize, JsonSchema)]
struct MoneyAmount {
    /// Amount in US dollars.
    value: f64,
    currency: UsDollars,
}

literals! {
    UsDollars = "usd";
}

/// The rate limits of a model.
#[derive(Serialize, JsonSchema)]
struct ModelLimitsNow {
    /// Id of the rate limit.
    id: RateLimitId,
    model: String,
    limits: Vec<LimitNow>,
}

/// A rate limit, with what is used of it.
#[derive(Serialize, JsonSchema)]
struct LimitNow {
    /// Name of the field in the rate limit.
    #[schemars(schema_with = "field_schema")]
    name: &'static str,
    /// Amount allowed in any window.
    limit: i64,
    /// Amount in the running window, what is reserved included.
    used: i64,
    /// The part of `used` that is reserved for requests under way, and may shrink when they end.
    reserved: i64,
    /// Amount that is left.
    remaining: i64,
    /// Time at which the window is empty if nothing else is used; null if it is empty.
    resets_at: Option<UnixTime>,
}

fn field_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "enum": LimitField::NAMES })
}

async fn retrieve(mut cx: Read, project: ConfiguredProject, _: NoParameters) -> Result<LimitsNow> {
    let changed = tenant_sql!(cx, RateLimits::SQL.select_one, args![&project.id]);
    let changed = cx.fetch_all(changed, RateLimits::read).await?.into_iter();
    let mut models: BTreeMap<String, (Option<ModelLimits>, Vec<_>)> = changed
        .map(|row| (row.model, (Some(row.limits), Vec::new())))
        .collect();
    let used = cx.rate_limit_usage();
    let used = used.map_or_else(Vec::new, |used| used.usage(&project.id));
    for ModelUse { model, limits } in used {
        models.entry(model).or_default().1 = limits;
    }
    let spend = spend_now(&mut cx, &project.id).await?;
    let (now, facts) = (cx.now(), cx.model_facts());
    let shown = |(model, (changed, used)): (String, (Option<ModelLimits>, Vec<_>))| {
        let kind = facts.configured_kind_of(&model);
        let limits = ModelLimits::of(&model, kind, changed.as_ref());
        ModelLimitsNow {
            id: RateLimitId::from_text(format!("{}{model}", RateLimitId::PREFIX)),
            model,
            limits: limits_now(&limits, &used, now),
        }
    };
    Ok(LimitsNow {
        object: LimitsNowObject,
        project_id: project.id.clone(),
        as_of: now,
        spend,
        rate_limits_counted_by: CountedByNode,
        rate_limits: models.into_iter().map(shown).collect(),
    })
}

/// Returns each limit with its use.
fn limits_now(
    limits: &ModelLimits,
    used: &[(LimitField, LimitUse)],
    now: UnixTime,
) -> Vec<LimitNow> {
    let fields = LimitField::ALL.iter();
    let limits = fields.filter_map(|field| Some((*field, limits.get(*field)?)));
    let shown = |(field, limit): (LimitField, i64)| {
        let used = used.iter().find(|(used, _)| *used == field);
        let used = used.map(|(_, used)| *used).unwrap_or_default();
        let seconds = i64::try_from(used.reset_milliseconds.div_ceil(1_000));
        LimitNow {
            name: field.as_str(),
            limit,
            used: used.used,
            reserved: used.reserved,
            remaining: (limit - used.used).max(0),
            resets_at: seconds
                .ok()
                .filter(|seconds| *seconds > 0)
                .map(|seconds| now.plus(seconds)),
        }
    };
    limits.map(shown).collect()
}

/// Returns the spend of the project; `None` if the caller may not read it.
async fn spend_now(cx: &mut Read, project: &ProjectId) -> Result<Option<SpendNow>> {
    let allowed = cx.permissions_in(project).await?;
    if !allowed.contains(Permission::SpendRead) {
        return Ok(None);
    }
    let limit = tenant_sql!(cx, SpendLimit::SQL.select_one, args![project]);
    let limit = cx
        .fetch_optional(limit, <SpendLimit as RowSetting>::read)
        .await?;
    let limit = limit.map(|limit| NanoDollars::from_cents(limit.cents));
    let (month, spent, reserved) = cx.spend().current(cx.organization(), Some(project));
    Ok(Some(SpendNow {
        start_time: month.start,
        end_time: month.end,
        limit: limit.map(dollars),
        spent: dollars(spent),
        reserved: dollars(reserved),
    }))
}

fn dollars(amount: NanoDollars) -> MoneyAmount {
    MoneyAmount {
        value: amount.dollars(),
        currency: UsDollars,
    }
}
