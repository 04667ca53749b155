//! `/organization/usage/events`: rows of the ledger, and ingestion of usage that other gateways report. Extensions of the
//! contract.

mod list;

use std::collections::{HashMap, HashSet};

use ::usage::reported::{RefusedEvent, ReportedEvent, no_such_project};
use ::usage::{Allowance, EventBounds, MAX_REQUEST_DAYS, UsageEvent};
use base::ids::Id;
use base::time::SECONDS_PER_DAY;
use base::{Error, Permission, Result, UnixTime, text_without_mark};
use bytes::Bytes;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::operation::{Ingest, Operation, ingest};
use crate::{args, tenant_sql};

const EVENTS: &str = "/organization/usage/events";

pub(crate) fn operations() -> Vec<Operation> {
    const ABOUT: &str = "Ingests usage events of other gateways. Repeated events count once.";
    vec![
        ingest::<ReportedEvent, _, _, _>(
            "usage:events create",
            EVENTS,
            Permission::UsageWrite,
            ABOUT,
            create,
        )
        .extension(),
        list::operation(),
    ]
}

/// The most events in a request.
const MAX_EVENTS: usize = 10_000;
/// Number of events between two yields to other tasks.
const YIELD_INTERVAL: usize = 100;

/// Outcome of an ingestion.
#[derive(Debug, Serialize, JsonSchema)]
struct IngestedEvents {
    object: &'static str,
    /// Number of new events, which are durable.
    accepted: usize,
    /// Number of events that had been ingested before.
    duplicates: usize,
    /// Rejected events with the reasons.
    rejected: Vec<Rejected>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Rejected {
    /// Position of the event in the request, from 0.
    index: usize,
    id: Option<String>,
    error: String,
}

async fn create(mut cx: Ingest, body: Bytes) -> Result<IngestedEvents> {
    let items = split(&body, cx.lines)?;
    if items.len() > MAX_EVENTS {
        let message = format!(
            "At most {MAX_EVENTS} events are accepted in one request; these are {}.",
            items.len()
        );
        return Err(Error::refused("too_many_events", message));
    }
    let mut projects = Projects::default();
    let mut days = Days::default();
    let mut events = Vec::with_capacity(items.len());
    let mut rejected = Vec::new();
    for (index, item) in items.into_iter().enumerate() {
        if index % YIELD_INTERVAL == YIELD_INTERVAL - 1 {
            tokio::task::yield_now().await;
        }
        let admitted = admit(&mut cx, &mut projects, item).await?;
        match admitted.and_then(|event| days.check(event)) {
            Ok(event) => events.push(event),
            Err(RefusedEvent { id, error }) => rejected.push(Rejected { index, id, error }),
        }
    }
    let recorder = cx.recorder().clone();
    let allowance = allowance(&cx);
    // Returns the connection to the pool while the ledger is written.
    drop(cx);
    let appended = recorder.report(events, allowance).await?;
    Ok(IngestedEvents {
        object: "organization.usage.events",
        accepted: appended.accepted,
        duplicates: appended.duplicates,
        rejected,
    })
}

/// Days of the events of a request.
#[derive(Default)]
struct Days(HashSet<UnixTime>);

impl Days {
    fn check(&mut self, event: UsageEvent) -> Result<UsageEvent, RefusedEvent> {
        let day = event.timestamp.floor(SECONDS_PER_DAY);
        if self.0.contains(&day) || self.0.len() < MAX_REQUEST_DAYS {
            self.0.insert(day);
            return Ok(event);
        }
        Err(RefusedEvent {
            id: Some(event.id),
            error: format!(
                "timestamp: the events of one request may lie on at most {MAX_REQUEST_DAYS} days (UTC)"
            ),
        })
    }
}

/// Returns the spend allowance of a project key; `None` for an admin key.
fn allowance(cx: &Ingest) -> Option<Allowance> {
    let caller = cx.permit().caller()?;
    let project_id = caller.project_id()?;
    let settings = cx.settings();
    let level = settings.project(project_id);
    Some(Allowance {
        organization_id: cx.organization().clone(),
        project_id: project_id.clone(),
        api_key_id: caller.id.clone(),
        project_limit: level.spend_limit,
        organization_limit: settings.organization.spend_limit,
    })
}

/// Splits a body into the JSON texts of its events: lines, items of an array, or a single object.
fn split(body: &[u8], lines: bool) -> Result<Vec<&str>> {
    let text = std::str::from_utf8(body)
        .map_err(|_| Error::refused("invalid_json", "The body is not UTF-8."))?;
    let text = text_without_mark(text);
    if lines {
        return Ok(text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect());
    }
    let malformed = |error| {
        Error::refused(
            "invalid_json",
            format!("The body is not valid JSON: {error}."),
        )
    };
    if text.trim_start().starts_with('[') {
        let items: Vec<&RawValue> = serde_json::from_str(text).map_err(malformed)?;
        return Ok(items.into_iter().map(RawValue::get).collect());
    }
    let item: &RawValue = serde_json::from_str(text).map_err(malformed)?;
    Ok(vec![item.get()])
}

/// Cache of the projects that the request names.
#[derive(Default)]
struct Projects(HashMap<String, bool>);

impl Projects {
    /// Checks that the key may report for a project: a project key only for its own, an admin key for all.
    async fn check(&mut self, cx: &mut Ingest, id: &str) -> Result<Result<(), String>> {
        let caller = cx.permit().caller();
        let own = caller.and_then(|caller| caller.project_id());
        if own.is_some_and(|own| own.as_str() != id) {
            return Ok(Err(format!(
                "project_id: the key may only report for its own project, not for '{id}'"
            )));
        }
        let is_known = match self.0.get(id) {
            Some(is_known) => *is_known,
            None => self.look_up(cx, id).await?,
        };
        Ok(is_known.then_some(()).ok_or_else(|| no_such_project(id)))
    }

    async fn look_up(&mut self, cx: &mut Ingest, id: &str) -> Result<bool> {
        let statement = tenant_sql!(
            cx,
            "SELECT id FROM projects WHERE organization_id = $1 AND id = $2",
            args![id],
        );
        let is_known = cx.fetch_optional(statement, |_| Ok(())).await?.is_some();
        self.0.insert(id.to_owned(), is_known);
        Ok(is_known)
    }
}

async fn admit(
    cx: &mut Ingest,
    projects: &mut Projects,
    item: &str,
) -> Result<Result<UsageEvent, RefusedEvent>> {
    let reported = match ReportedEvent::parse(item) {
        Ok(reported) => reported,
        Err(refused) => return Ok(Err(refused)),
    };
    let project = match reported.project_id() {
        Ok(id) => projects.check(cx, id).await?,
        Err(refused) => return Ok(Err(refused)),
    };
    Ok(match project {
        Ok(()) => {
            let bounds = EventBounds {
                prices: cx.recorder().prices(),
                keep: cx.keep_usage(),
                is_import: false,
            };
            reported.check(cx.organization(), cx.now(), bounds)
        }
        Err(error) => Err(reported.refused(error)),
    })
}
