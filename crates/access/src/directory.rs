//! The keys, what they may do and what is set where they belong: a picture in memory, which follows the database.
//!
//! Both the Administration API and the gateway know their callers by it, so a request needs no query for that. A commit
//! of this process settles once it is in the picture; those of other processes are looked for every [`POLL`].

mod change;
mod checks;
mod key;
mod load;
mod moves;
mod revoked;
mod settings;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use base::Error;
use base::ids::OrganizationId;
use base::secret::KeyHash;
use base::time::Stopwatch;
use store::{Connection, Follower, Read, Result, Store, sql};
use tasks::{Task, TaskHandle};
use tokio::sync::watch;

use crate::Settings;

use change::{Part, Touched};
use checks::Checks;
pub use key::{Key, Organization, Owner, Project};
pub use load::committed_key;
pub use moves::KeyHashes;
use moves::Moves;
use revoked::Revoked;
use settings::Place;

/// How often other processes' commits are looked for.
const POLL: Duration = Duration::from_millis(250);
/// How long after a failed load the next one is tried.
const RETRY: Duration = Duration::from_millis(500);
/// The oldest that the picture may be where nothing else is configured.
pub const DEFAULT_MAX_AGE: Duration = Duration::from_secs(30);
/// The time after which a request that is refused for stale keys may be sent again, in seconds.
const STALE_RETRY_SECONDS: u64 = 5;
/// Into how many parts the picture is divided: a change copies one of them.
const SHARDS: usize = 64;

/// Every organization's entry counts, so that a new organization moves the sum as well.
const REVISION: &str =
    "SELECT CAST(COALESCE(SUM(revision + 1), 0) AS BIGINT) AS revision FROM organizations";
const REVISIONS: &str = "SELECT id, revision FROM organizations";

type Shard = HashMap<KeyHash, Arc<Key>>;
type SettingsMap = HashMap<OrganizationId, Arc<Settings>>;

/// All keys, by their hashes, and what is set in each organization.
pub struct Directory {
    store: Store,
    /// The store with short deadlines that polls use.
    polled: Store,
    checks: Checks,
    shards: Vec<ArcSwap<Shard>>,
    revoked: Revoked,
    settings: ArcSwap<SettingsMap>,
    settings_moved: watch::Sender<()>,
    moves: Moves,
    is_fresh: AtomicBool,
    watch: Stopwatch,
    /// When the picture was last known to be that of the database, in milliseconds on `watch`.
    checked: AtomicU64,
    /// The oldest that the picture may be to be believed; `None` for any age.
    max_age: Option<Duration>,
}

/// In which shard a key is.
fn place(hash: &KeyHash) -> usize {
    usize::from(hash.0[0]) % SHARDS
}

/// Of which state the picture is: the revision of each organization, and the sum of all.
#[derive(Default)]
struct State {
    organizations: HashMap<OrganizationId, i64>,
    sum: i64,
}

/// The task that keeps a directory up to date.
struct Following {
    directory: Arc<Directory>,
    state: State,
    follower: Follower,
}

impl Task for Following {
    async fn run(&mut self) {
        let Self {
            directory,
            state,
            follower,
        } = self;
        directory.follow(state, follower).await;
    }

    /// Loads everything anew: a change may have been taken in by half.
    fn recover(&mut self) {
        self.state = State {
            organizations: HashMap::new(),
            sum: i64::MIN,
        };
    }
}

impl Directory {
    /// Loads the keys and follows their changes for as long as the handle lives. They are believed for
    /// [`DEFAULT_MAX_AGE`] while the database is away.
    ///
    /// # Errors
    /// The database's.
    pub async fn start(store: Store) -> Result<(Arc<Self>, TaskHandle)> {
        Self::start_bounded(store, Some(DEFAULT_MAX_AGE)).await
    }

    /// Loads the keys and follows their changes like [`Self::start`]; they are believed for `max_age` while the database is
    /// away, or for as long as the outage lasts where `max_age` is `None`.
    ///
    /// # Errors
    /// The database's.
    pub async fn start_bounded(
        store: Store,
        max_age: Option<Duration>,
    ) -> Result<(Arc<Self>, TaskHandle)> {
        let mut follower = store.revision().follow();
        let directory = Arc::new(Self {
            polled: store.for_polls(),
            store,
            checks: Checks::default(),
            shards: (0..SHARDS).map(|_| ArcSwap::default()).collect(),
            revoked: Revoked::default(),
            settings: ArcSwap::default(),
            settings_moved: watch::Sender::new(()),
            moves: Moves::default(),
            is_fresh: AtomicBool::new(true),
            watch: Stopwatch::start(),
            checked: AtomicU64::new(0),
            max_age,
        });
        let mut state = State::default();
        directory.reload(&mut state, &mut follower).await?;
        directory.is_checked();
        let following = tasks::start("directory", |_| Following {
            directory: Arc::clone(&directory),
            state,
            follower,
        });
        Ok((directory, following))
    }

    /// The key with this hash.
    #[must_use]
    pub fn find(&self, hash: &KeyHash) -> Option<Arc<Key>> {
        self.shard(hash).load().get(hash).cloned()
    }

    /// The key with these hashes that was taken out of the picture lately: it was deleted, or its owner was.
    #[must_use]
    pub fn find_revoked(&self, hashes: &KeyHashes) -> Option<Arc<Key>> {
        hashes.iter().find_map(|hash| self.revoked.find(&hash))
    }

    /// What is set for an organization and its projects.
    #[must_use]
    pub fn settings(&self, organization: &OrganizationId) -> Arc<Settings> {
        let all = self.settings.load();
        all.get(organization).cloned().unwrap_or_default()
    }

    /// Told when what is set has changed somewhere, or a project was archived; also by another process.
    #[must_use]
    pub fn settings_changes(&self) -> watch::Receiver<()> {
        self.settings_moved.subscribe()
    }

    /// Whether the last attempt to load what had changed succeeded.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.is_fresh.load(Ordering::Relaxed)
    }

    /// How long ago the picture was last known to be that of the database.
    #[must_use]
    pub fn age(&self) -> Duration {
        let checked = Duration::from_millis(self.checked.load(Ordering::Relaxed));
        self.watch.elapsed().saturating_sub(checked)
    }

    /// True if the picture is not older than it may be to be believed.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.max_age.is_none_or(|max_age| self.age() <= max_age)
    }

    /// Refuses to tell who may do what when what is known of it is too old: a key may have been revoked since.
    ///
    /// # Errors
    /// 503.
    pub fn check_age(&self) -> Result<(), Error> {
        if self.is_current() {
            return Ok(());
        }
        Err(Error::overloaded(
            "The database with the API keys has been out of reach for too long to know which of them are still good. Try again \
             in a few seconds.",
            STALE_RETRY_SECONDS,
        ))
    }

    fn is_checked(&self) {
        let now = self.watch.milliseconds();
        self.checked.store(now, Ordering::Relaxed);
    }

    /// Every key in the picture, in no order.
    #[must_use]
    pub fn keys(&self) -> Vec<Arc<Key>> {
        let shards = self.shards.iter().map(ArcSwap::load);
        shards
            .flat_map(|shard| shard.values().cloned().collect::<Vec<_>>())
            .collect()
    }

    fn shard(&self, hash: &KeyHash) -> &ArcSwap<Shard> {
        &self.shards[place(hash)]
    }

    async fn follow(&self, state: &mut State, follower: &mut Follower) {
        let mut poll = tokio::time::interval(POLL);
        poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut asked = self.checks.asked();
        loop {
            // What fails is noted again when the key is used again.
            if let Err(error) = self.move_hashes().await {
                tracing::warn!(%error, "failed to store the hashes of keys under the current secret");
            }
            let has_committed = tokio::select! {
                () = follower.changed() => true,
                _ = poll.tick() => false,
                () = asked.next() => false,
            };
            // What was asked for until now is answered by what is read from now on.
            let mut answers = asked.begin();
            let outcome = if has_committed {
                self.reload(state, follower).await
            } else {
                self.poll(state, follower).await
            };
            let mut failed = outcome.err();
            while let Some(error) = failed {
                if self.is_fresh.swap(false, Ordering::Relaxed) {
                    tracing::error!(%error, "the keys could not be loaded; those in memory stay in use");
                }
                tokio::time::sleep(RETRY).await;
                answers = asked.begin();
                failed = self.retry(state, follower).await.err();
            }
            self.is_checked();
            if !self.is_fresh.swap(true, Ordering::Relaxed) {
                tracing::info!("the keys could be loaded again");
            }
            self.checks.answer(answers);
        }
    }

    /// Takes in what other processes have committed, if they have.
    async fn poll(&self, state: &mut State, follower: &mut Follower) -> Result<()> {
        if self.revision().await? == state.sum {
            return Ok(());
        }
        self.reload(state, follower).await
    }

    /// Takes in what has changed, once the database answers at all: that is known sooner than a load fails.
    async fn retry(&self, state: &mut State, follower: &mut Follower) -> Result<()> {
        self.revision().await?;
        self.reload(state, follower).await
    }

    /// The sum of all organizations' revisions.
    async fn revision(&self) -> Result<i64> {
        let mut read = self.polled.read().await?;
        read.fetch_one(sql!(REVISION), |row| row.get("revision"))
            .await
    }

    /// Takes in what has changed. Commits that happen meanwhile are taken in together by the next reload.
    ///
    /// Revisions are read first: a commit in between makes the keys newer than they say, never older.
    async fn reload(&self, state: &mut State, follower: &mut Follower) -> Result<()> {
        let seen = follower.seen();
        let mut read = self.store.read().await?;
        let revision = |row: &store::Row<'_>| Ok((row.id("id")?, row.get("revision")?));
        let revisions: Vec<(OrganizationId, i64)> =
            read.fetch_all(sql!(REVISIONS), revision).await?;
        let sum = revisions.iter().map(|(_, revision)| revision + 1).sum();
        for (organization, revision) in revisions {
            let known = state.organizations.get(&organization).copied();
            if known != Some(revision) {
                read = self.take_in(read, &organization, known).await?;
                state.organizations.insert(organization, revision);
            }
        }
        state.sum = sum;
        follower.applied(seen);
        Ok(())
    }

    /// Replaces what the changes since a revision may have touched; everything where none is known.
    async fn take_in(
        &self,
        mut read: Read,
        organization: &OrganizationId,
        since: Option<i64>,
    ) -> Result<Read> {
        let touched = match since {
            Some(since) => change::touched_since(&mut read, organization, since).await?,
            None => Touched::all(),
        };
        for place in touched.settings {
            self.set(&mut read, organization, &place).await?;
        }
        for part in touched.keys {
            let (returned, keys) = load::part(read, organization, &part).await?;
            read = returned;
            self.replace(organization, &part, keys);
        }
        Ok(read)
    }

    /// Takes in what is set now, where it may have changed.
    async fn set(
        &self,
        connection: &mut Connection,
        organization: &OrganizationId,
        place: &Place,
    ) -> Result<()> {
        let mut all = SettingsMap::clone(&self.settings.load());
        let before = all.get(organization).map(Arc::as_ref);
        let now = settings::load(connection, organization, before, place).await?;
        all.insert(organization.clone(), Arc::new(now));
        self.settings.store(Arc::new(all));
        self.settings_moved.send_replace(());
        Ok(())
    }

    /// Puts the keys that a part has now in the place of those that it had.
    fn replace(&self, organization: &OrganizationId, part: &Part, keys: Vec<(KeyHash, Arc<Key>)>) {
        let mut by_shard: Vec<Vec<_>> = self.shards.iter().map(|_| Vec::new()).collect();
        for (hash, key) in keys {
            by_shard[place(&hash)].push((hash, key));
        }
        for (shard, new) in self.shards.iter().zip(by_shard) {
            let is_old = |key: &Key| key.organization.id == *organization && part.has(key);
            let old = shard.load();
            if new.is_empty() && !old.values().any(|key| is_old(key)) {
                continue;
            }
            let mut next = Shard::clone(&old);
            next.retain(|_, key| !is_old(key));
            next.extend(new);
            for (hash, key) in old.iter().filter(|(_, key)| is_old(key)) {
                if !next.contains_key(hash) {
                    self.revoked.add(*hash, Arc::clone(key));
                }
            }
            shard.store(Arc::new(next));
        }
    }
}
