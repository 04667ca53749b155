//! The session of this process among the nodes on its database.

use std::sync::Arc;
use std::time::Duration;

use ::usage::LedgerNode;
use anyhow::Context;
use base::{BootClock, Clock};
use cluster::{Fingerprint, NodeSession, SessionOptions};
use store::Store;
use tasks::TaskHandle;

use crate::AppOptions;
use crate::config::{LostSlices, NodeOptions, SettleScope};

/// The name of a node without a configured one.
const DEFAULT_NAME: &str = "orgplane";

/// The time in which a request is settled after the timeout of its upstream.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(5);

/// The session as the ledger knows it.
struct LedgerSession(NodeSession);

impl ::usage::NodeSession for LedgerSession {
    fn epoch(&self) -> i64 {
        self.0.epoch()
    }

    fn is_over(&self) -> bool {
        self.0.is_over()
    }
}

/// Returns this node as the ledger knows it; `None` if no other node can share the database.
pub(crate) fn ledger_node(options: &AppOptions, session: &NodeSession) -> Option<LedgerNode> {
    if options.store.usage().is_local() {
        return None;
    }
    let timeouts = options.upstreams.iter().map(|of| of.timeout_seconds);
    let longest = Duration::from_secs(timeouts.max().unwrap_or_default());
    Some(LedgerNode {
        session: Arc::new(LedgerSession(session.clone())),
        lost_after: longest + SETTLE_TIMEOUT,
        keeps_lost: options.node.lost == LostSlices::Keep,
    })
}

/// Facts about this node that others see.
pub(crate) struct NodeFacts<'a> {
    store: &'a Store,
    clock: &'a Clock,
    node: &'a NodeOptions,
    keep_bodies_days: u32,
    fingerprint: Fingerprint,
}

impl<'a> NodeFacts<'a> {
    /// Returns the facts of an application with these options.
    pub(crate) fn of(options: &'a AppOptions) -> Self {
        let mut upstreams: Vec<&str> = options.upstreams.iter().map(|of| &*of.name).collect();
        upstreams.sort_unstable();
        let (usage, days) = (options.keep_usage, options.keep_bodies_days);
        Self {
            store: &options.store,
            clock: &options.clock,
            node: &options.node,
            keep_bodies_days: days,
            fingerprint: Fingerprint::of(&[
                ("prices", &options.prices.canonical_text()),
                ("retention", &format!("{usage:?} {days}")),
                ("upstreams", &upstreams.join("\n")),
            ]),
        }
    }
}

/// Begins the session of this process; its task ends it.
pub(crate) async fn start_session(
    facts: NodeFacts<'_>,
) -> anyhow::Result<(NodeSession, Option<TaskHandle>)> {
    let name = facts.node.name.clone();
    let options = SessionOptions {
        name: name.unwrap_or_else(|| DEFAULT_NAME.to_owned()),
        version: env!("CARGO_PKG_VERSION"),
        fingerprint: facts.fingerprint,
        keep_bodies_days: facts.keep_bodies_days,
        has_shared_limits: true,
        reports_revision_at_once: facts.node.settle == SettleScope::All,
        boot_clock: BootClock::system(),
    };
    NodeSession::start(facts.store, facts.clock, options)
        .await
        .context("failed to begin the session of this node")
}
