//! `orgplane bodies`: reads stored bodies. Each read is written to the audit log first.

use std::io::{IsTerminal, Write};

use admin::bodies::{BodiesAccess, record};
use anyhow::bail;
use base::UnixTime;
use base::ids::{Id, ProjectId, RequestId};
use bodies::{BodyEntry, Side, StoredBody, find, list};
use clap::{Subcommand, ValueEnum};
use jiff::Timestamp;
use usage::{Outcome, outcome_of};

use super::deployment::Deployment;
use super::output::{escape_control, print};
use super::timestamp::timestamp;
use crate::config::{Config, Overrides};

#[derive(Subcommand)]
pub(super) enum Bodies {
    /// Prints the stored bodies of a request, and records that in the audit log.
    Show {
        /// Value of the response header x-request-id.
        request_id: String,
        /// Print only this body, byte for byte.
        #[arg(long)]
        only: Option<Only>,
        #[command(flatten)]
        overrides: Overrides,
    },
    /// Lists the requests of a project that have stored bodies, newest first, and records that in the audit log.
    List {
        /// Id of the project.
        #[arg(long)]
        project: String,
        /// Start: 2026-11-22, 2026-11-22T08:30:00Z or seconds since 1970 [default: everything stored].
        #[arg(long, value_name = "TIME", value_parser = timestamp)]
        since: Option<UnixTime>,
        /// Maximum number of bodies.
        #[arg(long, default_value_t = 100)]
        limit: u16,
        #[command(flatten)]
        overrides: Overrides,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Only {
    /// Body of the request.
    Request,
    /// Body of the response.
    Answer,
}

pub(super) async fn run(command: Bodies) -> anyhow::Result<()> {
    match command {
        Bodies::Show {
            request_id,
            only,
            overrides,
        } => {
            let deployment = Deployment::open(&Config::load(&overrides)?).await?;
            show(&deployment, RequestId::from_text(request_id), only).await
        }
        Bodies::List {
            project,
            since,
            limit,
            overrides,
        } => {
            let deployment = Deployment::open(&Config::load(&overrides)?).await?;
            let since = since.unwrap_or(UnixTime(0));
            let project = ProjectId::from_text(project);
            let found = list(deployment.store.usage(), &project, since, limit.into()).await?;
            record(deployment.reading(&project, None, found.len())).await?;
            let mut lines = String::new();
            for entry in &found {
                lines += &line(entry, outcome(&deployment, entry).await?);
            }
            print(&lines)
        }
    }
}

async fn show(
    deployment: &Deployment,
    request: RequestId,
    only: Option<Only>,
) -> anyhow::Result<()> {
    let mut found = find(deployment.store.usage(), &deployment.pepper, &request).await?;
    let wanted = only.map(|only| match only {
        Only::Request => Side::Request,
        Only::Answer => Side::Answer,
    });
    found.retain(|body| wanted.is_none_or(|side| side == body.entry.side));
    let Some(first) = found.first() else {
        bail!(
            "nothing like that is kept of the request {}",
            escape_control(request.as_str())
        );
    };
    let project = first.entry.project.clone();
    record(deployment.reading(&project, Some(&request), found.len())).await?;
    for body in &found {
        let Some(bytes) = &body.bytes else {
            bail!("it was encrypted with another secret than that of the secret file, or changed");
        };
        if only.is_some() {
            write(bytes)?;
        } else {
            print(&line(&body.entry, outcome(deployment, &body.entry).await?))?;
            write(&readable(body, std::io::stdout().is_terminal()))?;
            print("\n")?;
        }
    }
    Ok(())
}

/// Returns the outcome of the request, once the ledger has it.
async fn outcome(deployment: &Deployment, entry: &BodyEntry) -> anyhow::Result<Option<Outcome>> {
    let mut connection = deployment.store.usage().read().await?;
    let (organization, id) = (&entry.organization, entry.request.as_str());
    Ok(outcome_of(&mut connection, organization, id, entry.created_at).await?)
}

impl Deployment {
    fn reading<'a>(
        &'a self,
        project: &'a ProjectId,
        request: Option<&'a RequestId>,
        count: usize,
    ) -> BodiesAccess<'a> {
        BodiesAccess {
            store: &self.store,
            ids: &self.ids,
            clock: &self.clock,
            project,
            request,
            count,
        }
    }
}

/// Formats the summary line of a body.
fn line(entry: &BodyEntry, outcome: Option<Outcome>) -> String {
    let BodyEntry {
        request,
        length,
        kept,
        ..
    } = entry;
    let time = Timestamp::from_second(entry.created_at.0).unwrap_or_default();
    let status = entry
        .status
        .map_or("-".to_owned(), |status| status.to_string());
    let size = if entry.is_cut() {
        format!("{length} bytes, cut after {kept}")
    } else {
        format!("{length} bytes")
    };
    let outcome = outcome.map_or("-", Outcome::as_str);
    let text = format!(
        "{time}  {request}  {:7}  /v1{}  {}  {status}  {outcome}  {size}",
        entry.side.as_str(),
        entry.endpoint,
        entry.model,
    );
    escape_control(&text) + "\n"
}

/// Returns the printable form of a body: binary data is only described, and terminal control sequences are escaped.
fn readable(body: &StoredBody, is_terminal: bool) -> Vec<u8> {
    let bytes = body.bytes.as_ref().map_or(&[][..], |bytes| bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) if is_terminal => escape_control(text).into_bytes(),
        Err(error) if error.error_len().is_some() => {
            let side = body.entry.side.as_str();
            format!("(no text: write it to a file with --only {side})").into_bytes()
        }
        // Text may end within a character if it was truncated.
        _ => bytes.to_vec(),
    }
}

fn write(bytes: &[u8]) -> anyhow::Result<()> {
    match std::io::stdout().write_all(bytes) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_no_orders() {
        assert_eq!(
            escape_control("a\u{1b}[2J\r\n\tü\u{9b}"),
            "a\\u{1b}[2J\\r\n\tü\\u{9b}"
        );
    }
}
