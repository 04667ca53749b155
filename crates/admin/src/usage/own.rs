//! `/organization/me/usage/…` and `/organization/me/costs`: the reports, restricted to the caller's own usage.

use ::usage::{CostQuery, Dimension, UsageQuery};
use axum::body::Body;
use base::{Error, Permission, Result};
use http::Response;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer};

use super::BucketPage;
use super::answer::OTHER_TYPES;
use super::costs::{self, Cost, ListCosts};
use super::report::{ReportQuery, Reported, respond};
use crate::operation::{Needs, Operation, Organization, Read, refuse, stream};

/// The requirement of reports on one's own usage.
const NEEDS: Needs = Needs::Own(Permission::UsageRead);
/// The parameter that the reports of the organization have, and these have not.
const USER_IDS: &str = "user_ids";

/// The query string of a report on the caller's own usage: that of the organization's report without `user_ids`.
pub(super) struct OwnQuery<Q>(Q);

impl<'de, Q: ReportQuery> Deserialize<'de> for OwnQuery<Q> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Q::deserialize(deserializer).map(Self)
    }
}

impl<Q: ReportQuery> JsonSchema for OwnQuery<Q> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("Own{}", Q::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = Q::json_schema(generator);
        let properties = schema.get_mut("properties");
        if let Some(properties) = properties.and_then(|properties| properties.as_object_mut()) {
            properties.remove(USER_IDS);
        }
        schema
    }
}

/// Returns the report of a kind.
pub(super) fn report<Q: ReportQuery>(
    command: &'static str,
    path: &'static str,
    about: &'static str,
) -> Operation {
    let operation = stream::<BucketPage<Reported<Q>>, _, _, _, _>(
        command,
        path,
        NEEDS,
        about,
        OTHER_TYPES,
        own_usage::<Q>,
    );
    operation.extension()
}

/// Returns the report of costs.
pub(super) fn costs() -> Operation {
    let operation = stream::<BucketPage<Cost>, _, _, _, _>(
        "me costs",
        "/organization/me/costs",
        NEEDS,
        "Reports the costs of the caller's requests by day.",
        OTHER_TYPES,
        own_costs,
    );
    operation.extension()
}

async fn own_usage<Q: ReportQuery>(
    cx: Read,
    _: Organization,
    OwnQuery(query): OwnQuery<Q>,
) -> Result<Response<Body>> {
    let format = query.format();
    let mut query: UsageQuery = query.ask(cx.organization().clone(), cx.now())?;
    let position = |query: &UsageQuery, dimension| {
        let mut filters = query.filters.iter();
        filters.position(|(filtered, _)| *filtered == dimension)
    };
    if position(&query, Dimension::UserId).is_some() {
        let message = format!("unknown field `{USER_IDS}`, the report has only your own usage");
        return Err(refuse("parameter", USER_IDS, &message));
    }
    let user = cx.permit().user()?.to_string();
    query.filters.push((Dimension::UserId, vec![user]));
    if let Some(project) = project(&cx) {
        let given = position(&query, Dimension::ProjectId).map(|index| query.filters.remove(index));
        let given = given.map(|(_, projects)| projects).unwrap_or_default();
        check_project(&project, &given)?;
        query.filters.push((Dimension::ProjectId, vec![project]));
    }
    respond(cx, query, format).await
}

async fn own_costs(cx: Read, _: Organization, query: ListCosts) -> Result<Response<Body>> {
    let (mut query, format): (CostQuery, _) = query.ask(&cx)?;
    query.user_ids = vec![cx.permit().user()?.to_string()];
    if let Some(project) = project(&cx) {
        check_project(&project, &query.project_ids)?;
        query.project_ids = vec![project];
    }
    costs::respond(cx, &query, format).await
}

/// Returns the project to which the report is restricted: that of a project key.
fn project(cx: &Read) -> Option<String> {
    let project = cx.permit().caller()?.project_id()?;
    Some(project.to_string())
}

/// Refuses projects other than that of the calling key.
fn check_project(own: &str, given: &[String]) -> Result<()> {
    if given.iter().all(|project| project == own) {
        return Ok(());
    }
    let message = format!("A key of the project '{own}' reports only usage of this project.");
    Err(Error::invalid("project_ids", message))
}
