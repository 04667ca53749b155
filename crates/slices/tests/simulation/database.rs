//! The database of the simulation: blobs with versions, the sessions of nodes, the generation, and the clock.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use slices::{SLICE_TIMEOUT, SwapAnswer, SwapCall};

/// The milliseconds for which a session is prolonged.
pub const SESSION_TIMEOUT: i64 = 8_000;
/// The most milliseconds that a standby lags behind.
const MAX_LAG: i64 = 5_000;
/// The milliseconds of the window of the simulated limits.
pub const WINDOW_LEN: i64 = 60_000;

/// Rules of the database, each of which a test takes away.
#[derive(Clone, Copy, Debug)]
pub struct DatabaseRules {
    /// A blob is replaced only if it has the version that the new one was computed from.
    pub compares_versions: bool,
    /// A swap of another generation is refused, and a failover begins a generation.
    pub compares_generations: bool,
    /// A generation opens only once the use of nodes that died lately has left the window.
    pub waits_for_the_dead: bool,
}

impl DatabaseRules {
    pub const ALL: Self = Self {
        compares_versions: true,
        compares_generations: true,
        waits_for_the_dead: true,
    };
}

/// The answer to a session that is prolonged or begun.
#[derive(Clone, Debug)]
pub struct SessionReply {
    /// The session; `None` if it is over.
    pub epoch: Option<u64>,
    pub now: i64,
    pub generation: u64,
    /// The sum of all steps of the clock that were noticed.
    pub clock_step: i64,
    pub is_open: bool,
    pub living: Arc<[u64]>,
}

/// The tenant and the name of a row.
type RowKey = (Arc<str>, Arc<str>);

#[derive(Clone)]
struct SessionRow {
    until: i64,
    /// The generation that the node has acknowledged.
    seen: u64,
}

#[derive(Clone)]
pub struct Database {
    rules: DatabaseRules,
    /// The timeline.
    timeline: u64,
    /// The milliseconds that the clock is ahead of the true time.
    clock_offset: i64,
    rows: HashMap<RowKey, (u64, Vec<u8>)>,
    sessions: BTreeMap<u64, SessionRow>,
    generation: u64,
    generation_timeline: u64,
    clock_step: i64,
    is_open: bool,
    sequence: u64,
}

impl Database {
    pub fn new(rules: DatabaseRules) -> Self {
        Self {
            rules,
            timeline: 1,
            clock_offset: 1_000_000,
            rows: HashMap::new(),
            sessions: BTreeMap::new(),
            generation: 1,
            generation_timeline: 1,
            clock_step: 0,
            is_open: true,
            sequence: 0,
        }
    }

    /// Returns this database as a standby that was promoted after `earlier`.
    pub fn promoted(mut self, earlier: &Self) -> Self {
        self.timeline = earlier.timeline + 1;
        self
    }

    pub fn step_clock(&mut self, milliseconds: i64) {
        self.clock_offset += milliseconds;
    }

    pub fn knows(&self, epoch: u64) -> bool {
        self.sessions.contains_key(&epoch)
    }

    fn now(&self, true_time: f64) -> i64 {
        true_time as i64 + self.clock_offset
    }

    /// Prolongs a session, or begins one, and opens the generation once it may be.
    pub fn session(&mut self, true_time: f64, epoch: Option<u64>, seen: u64) -> SessionReply {
        let now = self.now(true_time);
        if self.timeline != self.generation_timeline {
            self.generation_timeline = self.timeline;
            if self.rules.compares_generations {
                self.generation += 1;
                self.is_open = false;
            }
        }
        let epoch = match epoch {
            None => {
                self.sequence += 1;
                Some(self.timeline << 32 | self.sequence)
            }
            Some(epoch) => {
                let row = self.sessions.get(&epoch);
                row.is_some_and(|row| row.until > now).then_some(epoch)
            }
        };
        if let Some(epoch) = epoch {
            let until = now + SESSION_TIMEOUT;
            self.sessions.insert(epoch, SessionRow { until, seen });
        }
        self.open(now);
        let living = self.sessions.iter().filter(|(_, row)| row.until > now);
        SessionReply {
            epoch,
            now,
            generation: self.generation,
            clock_step: self.clock_step,
            is_open: self.is_open,
            living: living.map(|(epoch, _)| *epoch).collect(),
        }
    }

    fn open(&mut self, now: i64) {
        if self.is_open {
            return;
        }
        let slice = SLICE_TIMEOUT.cast_signed();
        let is_ready = self.sessions.values().all(|row| {
            if row.until > now {
                row.seen == self.generation
            } else {
                // The primary that was replaced may have prolonged the session after what the standby has.
                let end = row.until + MAX_LAG;
                !self.rules.waits_for_the_dead
                    || row.seen == self.generation
                    || end + slice + WINDOW_LEN <= now
            }
        });
        self.is_open = is_ready;
    }

    /// Begins a generation after the one that was seen, because the clock was set forward by `step`.
    pub fn begin_generation(&mut self, seen: u64, step: i64) {
        if seen == self.generation {
            self.generation += 1;
            self.is_open = false;
            self.clock_step += step;
            for row in self.sessions.values_mut() {
                row.until += step;
            }
        }
    }

    /// Replaces a blob.
    pub fn swap(&mut self, call: &SwapCall) -> SwapAnswer {
        let is_known = self.timeline == self.generation_timeline;
        let is_current = is_known && call.generation == self.generation;
        if self.rules.compares_generations && !is_current {
            return SwapAnswer::Refused;
        }
        let key = (Arc::clone(&call.tenant), Arc::clone(&call.name));
        let present = self.rows.get(&key);
        let version = present.map_or(0, |(version, _)| *version);
        match &call.blob {
            Some(blob) if version == call.version || !self.rules.compares_versions => {
                self.sequence += 1;
                let version = self.timeline << 32 | self.sequence;
                self.rows.insert(key, (version, blob.clone()));
                SwapAnswer::Swapped { version }
            }
            _ => SwapAnswer::Present {
                version,
                blob: present.map_or_else(Vec::new, |(_, blob)| blob.clone()),
            },
        }
    }
}
