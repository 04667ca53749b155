//! The task that prolongs the session of this process, announces its commits, and hears those of others.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base::BootClock;
use store::{Channel, Error, Result, Store, sql};
use tasks::Task;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::clock_reading::ClockReading;
use crate::fingerprint::Fingerprint;
use crate::living::LivingNode;
use crate::session::{NodeSession, SharedSession};
use crate::session_state::{SessionState, clock_step};
use crate::table;

/// The interval at which the session is prolonged.
const PROLONG_INTERVAL: Duration = Duration::from_secs(1);
/// The shortest time between two prolongations out of turn.
const MIN_PROLONG_INTERVAL: Duration = Duration::from_millis(50);
/// The shortest time between two announcements of commits.
const MIN_ANNOUNCE_INTERVAL: Duration = Duration::from_millis(10);
/// The time in which the end of the session must be written at shutdown.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);

/// The properties of a session.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// The name of the node, for people.
    pub name: String,
    /// The version of the program.
    pub version: &'static str,
    /// Hashes of the configuration.
    pub fingerprint: Fingerprint,
    /// The number of days for which this node keeps bodies.
    pub keep_bodies_days: u32,
    /// True if a generation is acknowledged by [`NodeSession::acknowledge`] only.
    pub has_shared_limits: bool,
    /// True if other nodes are told of each new revision at once.
    pub reports_revision_at_once: bool,
    /// The clock by which this node ends its session.
    pub boot_clock: BootClock,
}

/// The task of a session.
pub(crate) struct SessionTask {
    session: NodeSession,
    store: Store,
    /// The connection; `None` after an error.
    channel: Option<Channel>,
    commits: watch::Receiver<u64>,
    /// The time of the next announcement, if there are commits to announce.
    announce_at: Option<Instant>,
    announced_at: Instant,
    /// The time of the next prolongation out of turn, if one is asked for.
    prolong_at: Option<Instant>,
    prolonged_at: Instant,
    /// The last reading of the clock, of this session or the one before.
    reading: ClockReading,
    is_failing: bool,
    /// The names of nodes with another configuration, and what differs.
    differing: BTreeMap<String, String>,
    stop: CancellationToken,
}

impl SessionTask {
    pub(crate) fn new(
        session: NodeSession,
        store: Store,
        channel: Channel,
        state: SessionState,
        stop: CancellationToken,
    ) -> Self {
        let now = Instant::now();
        Self {
            session,
            commits: store.revision().commits(),
            store,
            channel: Some(channel),
            announce_at: None,
            announced_at: now,
            prolong_at: None,
            prolonged_at: now,
            reading: state.reading,
            is_failing: false,
            differing: BTreeMap::new(),
            stop,
        }
    }

    /// Begins a session, and a generation if the clock was set since `before` or another server has answered.
    pub(crate) async fn begin(
        channel: &mut Channel,
        options: &SessionOptions,
        revision: i64,
        before: Option<&ClockReading>,
    ) -> Result<SessionState> {
        let boot = &options.boot_clock;
        let stored = table::generation(channel).await?;
        if stored.is_elsewhere() {
            table::advance_generation(channel, &stored, 0).await?;
        }
        let (reading, epoch) = table::begin(channel, boot, options, revision).await?;
        let mut stored = table::generation(channel).await?;
        if let Some(step) = clock_step(before, &reading) {
            tracing::warn!(seconds = step / 1_000_000, "clock of the database was set");
            table::advance_generation(channel, &stored, step).await?;
            stored = table::generation(channel).await?;
        }
        table::prune(channel).await?;
        tracing::info!(epoch, node = options.name, "session begun");
        Ok(SessionState::begun(epoch, reading, stored.generation))
    }

    /// Prolongs the session, or begins another one if it is over. Logs the first of several failures.
    async fn prolong(&mut self) {
        (self.prolong_at, self.prolonged_at) = (None, Instant::now());
        let outcome = self.try_prolong().await;
        match outcome {
            Ok(()) if self.is_failing => {
                self.is_failing = false;
                tracing::info!("session prolonged again");
            }
            Ok(()) => {}
            Err(error) => {
                self.channel = None;
                if !std::mem::replace(&mut self.is_failing, true) {
                    tracing::error!(%error, "session not prolonged; trying again");
                }
            }
        }
    }

    async fn try_prolong(&mut self) -> Result<()> {
        let session = self.session.clone();
        let Some(shared) = session.shared() else {
            return Ok(());
        };
        let mut channel = self.connected(shared).await?;
        let outcome = self.prolong_on(&mut channel, shared).await;
        if outcome.is_ok() {
            self.channel = Some(channel);
        }
        outcome
    }

    /// Takes the channel; connects one if there is none.
    async fn connected(&mut self, shared: &SharedSession) -> Result<Channel> {
        if let Some(channel) = self.channel.take() {
            return Ok(channel);
        }
        let channel = self.store.channel().await?.ok_or(Error::NoRow)?;
        // Notifications may have been missed meanwhile.
        shared.announced.send_modify(|count| *count += 1);
        Ok(channel)
    }

    async fn prolong_on(&mut self, channel: &mut Channel, shared: &SharedSession) -> Result<()> {
        let state = shared.state();
        let is_over = state.is_over(shared.boot.microseconds());
        let acknowledged = if shared.options().has_shared_limits {
            shared.acknowledged()
        } else {
            state.generation.number
        };
        let known = (state.epoch, acknowledged, shared.revision());
        let prolonged = match is_over {
            false => table::prolong(channel, &shared.boot, known).await?,
            true => None,
        };
        let Some(reading) = prolonged else {
            return self.begin_again(channel, shared).await;
        };
        let mut stored = table::generation(channel).await?;
        let step = clock_step(Some(&self.reading), &reading);
        if step.is_some() || stored.is_elsewhere() {
            let number = stored.generation.number;
            // Another node may have begun the generation already.
            if number == state.generation.number {
                let seconds = step.unwrap_or(0) / 1_000_000;
                tracing::warn!(number, seconds, "commits may be lost or the clock was set");
                table::advance_generation(channel, &stored, step.unwrap_or(0)).await?;
                stored = table::generation(channel).await?;
            }
        }
        match state.prolonged(reading, stored.generation) {
            Some(next) => shared.set_state(next),
            None if stored.generation.number < state.generation.number => {
                return Err(Error::Pool("an older server has answered".to_owned()));
            }
            None => return self.begin_again(channel, shared).await,
        }
        self.reading = reading;
        if step.is_none() {
            for (epoch, node) in table::end_expired(channel).await? {
                tracing::warn!(epoch, node, "session of a node is over");
            }
        }
        self.compare(channel, shared).await
    }

    async fn begin_again(&mut self, channel: &mut Channel, shared: &SharedSession) -> Result<()> {
        let over = shared.state().epoch;
        tracing::warn!(epoch = over, "session over");
        table::end(channel, over, false).await?;
        let revision = shared.revision();
        let state = Self::begin(channel, shared.options(), revision, Some(&self.reading)).await?;
        self.reading = state.reading;
        shared.set_acknowledged(state.generation.number);
        shared.set_state(state);
        self.compare(channel, shared).await
    }

    /// Compares the configuration of all nodes, and logs differences when they begin and end.
    async fn compare(&mut self, channel: &mut Channel, shared: &SharedSession) -> Result<()> {
        let living = channel
            .fetch_all(sql!(table::LIVING), LivingNode::read)
            .await?;
        let own = &shared.options().fingerprint;
        let differing: BTreeMap<String, String> = living
            .iter()
            .map(|node| (node.name.clone(), own.differences(&node.fingerprint)))
            .filter(|(_, parts)| !parts.is_empty())
            .map(|(name, parts)| (name, parts.join(", ")))
            .collect();
        if differing != self.differing {
            for (node, parts) in &differing {
                tracing::warn!(node, parts, "configuration of a node differs");
            }
            if differing.is_empty() {
                tracing::info!("configuration of all nodes is the same");
            }
            self.differing = differing;
        }
        shared.living.send_replace(Arc::new(living));
        Ok(())
    }

    /// Announces the commits of this process.
    async fn announce(&mut self) {
        (self.announce_at, self.announced_at) = (None, Instant::now());
        let epoch = self.session.epoch().to_string();
        // Without a connection, other nodes find the commits by polling.
        if let Some(channel) = &mut self.channel
            && let Err(error) = channel.notify(&epoch).await
        {
            tracing::warn!(%error, "commits not announced");
            self.channel = None;
        }
    }

    async fn leave(&mut self) {
        let epoch = self.session.epoch();
        let Some(channel) = &mut self.channel else {
            return;
        };
        match timeout(LEAVE_TIMEOUT, table::end(channel, epoch, true)).await {
            Ok(Ok(())) => tracing::info!(epoch, "session ended"),
            Ok(Err(error)) => tracing::warn!(epoch, %error, "session not ended"),
            Err(_) => tracing::warn!(epoch, "session not ended in time"),
        }
    }
}

impl Task for SessionTask {
    async fn run(&mut self) {
        let session = self.session.clone();
        let Some(shared) = session.shared() else {
            return;
        };
        let mut tick = interval(PROLONG_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let stop = self.stop.clone();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return self.leave().await,
                _ = tick.tick() => self.prolong().await,
                () = due(self.prolong_at) => self.prolong().await,
                () = due(self.announce_at) => self.announce().await,
                () = shared.wake.notified(), if self.prolong_at.is_none() => {
                    self.prolong_at = Some(self.prolonged_at + MIN_PROLONG_INTERVAL);
                }
                changed = self.commits.changed(), if self.announce_at.is_none() => {
                    if changed.is_err() {
                        return;
                    }
                    self.announce_at = Some(self.announced_at + MIN_ANNOUNCE_INTERVAL);
                }
                payload = notified(&mut self.channel) => match payload {
                    Some(payload) if payload == session.epoch().to_string() => {}
                    Some(_) => shared.announced.send_modify(|count| *count += 1),
                    // The next prolongation connects again.
                    None => self.channel = None,
                },
            }
        }
    }
}

async fn due(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Waits for a notification; forever without a connection.
async fn notified(channel: &mut Option<Channel>) -> Option<String> {
    match channel {
        Some(channel) => channel.notified().await,
        None => std::future::pending().await,
    }
}
