//! `orgplane audit`: verification of the audit log.

use admin::audit_logs::verify::{VerifiedLog, verify as verify_log};
use anyhow::bail;
use clap::Subcommand;
use cli::Progress;

use super::deployment::open;
use super::output::print;
use crate::config::{Config, Overrides};

#[derive(Subcommand)]
pub(super) enum Audit {
    /// Recomputes every hash of the audit log and names the first entry that was altered.
    Verify(Overrides),
}

pub(super) async fn run(command: Audit) -> anyhow::Result<()> {
    let Audit::Verify(overrides) = command;
    verify(&Config::load(&overrides)?).await
}

async fn verify(config: &Config) -> anyhow::Result<()> {
    let store = open(config).await?;
    let progress = Progress::new("entries");
    let logs = verify_log(&store, |done, of| progress.update(done, Some(of))).await;
    drop(progress);
    let logs = logs?;
    let mut broken = Vec::new();
    for log in &logs {
        print(&proved(log))?;
        if let Some(entry) = &log.broken {
            let id = entry.id.as_ref().map(|id| format!(" ({id})"));
            broken.push(format!(
                "{}: entry {}{} {}",
                log.organization_id,
                entry.sequence,
                id.unwrap_or_default(),
                entry.reason
            ));
        }
    }
    if !broken.is_empty() {
        bail!("the audit log was changed: {}", broken.join("; "));
    }
    Ok(())
}

fn proved(log: &VerifiedLog) -> String {
    let hash: String = log.hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let all = if log.broken.is_none() { "all" } else { "only" };
    let entries = log.entries;
    format!(
        "{}: {all} {entries} entries are as they were written; hash of the last one: {hash}\n",
        log.organization_id
    )
}
