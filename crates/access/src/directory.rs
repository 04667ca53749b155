//! The directory: a snapshot of keys, sessions, their permissions and the settings, which follows the database.
//!
//! The Administration API and the gateway identify callers by the snapshot, so a request needs no query for that. A
//! commit of this process settles once the snapshot includes it. Other processes announce theirs; those whose announcement
//! is lost are found by polling every [`POLL_INTERVAL`].

mod age;
mod invalidation;
mod key;
mod load_keys;
mod load_settings;
mod options;
mod refresh;
mod rehash;
mod revoked;
mod unknown;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use base::ids::OrganizationId;
use base::secret::KeyHash;
use base::time::Stopwatch;
use cluster::NodeSession;
use settings::Settings;
use store::{Connection, Follower, Read, Result, Store, sql};
use tasks::{Task, TaskHandle};
use tokio::sync::{Semaphore, watch};

use invalidation::{Invalidation, KeySelection, SettingsSelection};
pub use key::{Key, Organization, Owner, Project};
pub use load_keys::committed_key;
use load_keys::load_keys;
use load_settings::load_settings;
pub use options::DirectoryOptions;
use refresh::RefreshQueue;
pub use rehash::KeyHashes;
use rehash::PendingRehashes;
use revoked::RevokedKeys;
use unknown::UnknownKeys;

/// Interval of the polls for other processes' commits.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// Delay between a failed load and the next attempt.
const RETRY_DELAY: Duration = Duration::from_millis(500);
/// The age up to which a snapshot is trusted unless configured otherwise.
pub const DEFAULT_MAX_AGE: Duration = Duration::from_secs(30);
/// Number of shards of the key map. A change copies one shard.
const SHARD_COUNT: usize = 64;

/// The `+ 1` makes a new organization, whose revision is 0, change the sum.
const REVISION: &str =
    "SELECT CAST(COALESCE(SUM(revision + 1), 0) AS BIGINT) AS revision FROM organizations";
const REVISIONS: &str = "SELECT id, revision FROM organizations";

type Shard = HashMap<KeyHash, Arc<Key>>;
type SettingsMap = HashMap<OrganizationId, Arc<Settings>>;

/// A snapshot of all keys by their hashes, and of the settings of all organizations.
pub struct Directory {
    store: Store,
    /// The store with short deadlines, for polls.
    polled: Store,
    refreshes: RefreshQueue,
    shards: Vec<ArcSwap<Shard>>,
    revoked: RevokedKeys,
    unknown: UnknownKeys,
    settings: ArcSwap<SettingsMap>,
    settings_changed: watch::Sender<()>,
    rehashes: PendingRehashes,
    has_loaded: AtomicBool,
    clock: Stopwatch,
    /// The last time at which the snapshot was known to match the database, in milliseconds on `clock`.
    verified_at: AtomicU64,
    /// The age up to which the snapshot is trusted; `None` for any age.
    max_age: Option<Duration>,
    session: NodeSession,
    settles_everywhere: bool,
    revision: watch::Sender<i64>,
    revision_waits: Semaphore,
}

fn shard_index(hash: &KeyHash) -> usize {
    usize::from(hash.0[0]) % SHARD_COUNT
}

/// Revisions of the organizations in the snapshot.
#[derive(Default)]
struct Revisions {
    organizations: HashMap<OrganizationId, i64>,
    /// The sum that [`REVISION`] selects.
    sum: i64,
    /// The generation of the database that the revisions are of: another one may have lost commits.
    generation: i64,
}

impl Revisions {
    /// Revisions by which everything is reloaded.
    fn unknown() -> Self {
        Self {
            sum: i64::MIN,
            ..Self::default()
        }
    }
}

/// The task that keeps a directory up to date.
struct DirectoryFollower {
    directory: Arc<Directory>,
    revisions: Revisions,
    follower: Follower,
}

impl Task for DirectoryFollower {
    async fn run(&mut self) {
        let Self {
            directory,
            revisions,
            follower,
        } = self;
        directory.follow(revisions, follower).await;
    }

    /// Forgets all revisions so that everything is reloaded: a change may have been applied by half.
    fn recover(&mut self) {
        self.revisions = Revisions::unknown();
    }
}

impl Directory {
    /// Loads the snapshot and follows the database until the handle is dropped. While the database is unavailable, the
    /// snapshot is trusted for [`DEFAULT_MAX_AGE`].
    ///
    /// # Errors
    /// The database's.
    pub async fn start(store: Store) -> Result<(Arc<Self>, TaskHandle)> {
        Self::start_bounded(store, Some(DEFAULT_MAX_AGE)).await
    }

    /// Loads the snapshot like [`Self::start`], and trusts it for `max_age`, or during the whole outage if `max_age` is
    /// `None`.
    ///
    /// # Errors
    /// The database's.
    pub async fn start_bounded(
        store: Store,
        max_age: Option<Duration>,
    ) -> Result<(Arc<Self>, TaskHandle)> {
        let options = DirectoryOptions {
            max_age,
            ..DirectoryOptions::default()
        };
        Self::start_with(store, options).await
    }

    /// Loads the snapshot like [`Self::start`].
    ///
    /// # Errors
    /// The database's.
    pub async fn start_with(
        store: Store,
        options: DirectoryOptions,
    ) -> Result<(Arc<Self>, TaskHandle)> {
        let mut follower = store.revision().follow();
        let directory = Arc::new(Self {
            polled: store.for_polls(),
            store,
            refreshes: RefreshQueue::default(),
            shards: (0..SHARD_COUNT).map(|_| ArcSwap::default()).collect(),
            revoked: RevokedKeys::default(),
            unknown: UnknownKeys::default(),
            settings: ArcSwap::default(),
            settings_changed: watch::Sender::new(()),
            rehashes: PendingRehashes::default(),
            has_loaded: AtomicBool::new(true),
            clock: Stopwatch::start(),
            verified_at: AtomicU64::new(0),
            max_age: options.max_age,
            session: options.session,
            settles_everywhere: options.settles_everywhere,
            revision: watch::Sender::new(0),
            revision_waits: Semaphore::new(age::MAX_REVISION_WAITS),
        });
        let mut revisions = Revisions::default();
        directory.reload(&mut revisions, &mut follower).await?;
        directory.set_verified();
        let task = tasks::start("directory", |_| DirectoryFollower {
            directory: Arc::clone(&directory),
            revisions,
            follower,
        });
        Ok((directory, task))
    }

    /// Returns the key with this hash.
    #[must_use]
    pub fn find(&self, hash: &KeyHash) -> Option<Arc<Key>> {
        self.shard(hash).load().get(hash).cloned()
    }

    /// Returns the API key with these hashes if it was removed from the snapshot recently, because the key or its owner was
    /// deleted.
    #[must_use]
    pub fn find_revoked(&self, hashes: &KeyHashes) -> Option<Arc<Key>> {
        let revoked = self.revoked.find_any(hashes);
        revoked.filter(|key| !key.is_session())
    }

    /// Returns the settings of an organization and its projects.
    #[must_use]
    pub fn settings(&self, organization: &OrganizationId) -> Arc<Settings> {
        let all = self.settings.load();
        all.get(organization).cloned().unwrap_or_default()
    }

    /// Subscribes to changes of settings and archivals of projects, in any organization and by any process.
    #[must_use]
    pub fn settings_changes(&self) -> watch::Receiver<()> {
        self.settings_changed.subscribe()
    }

    /// Returns every key in the snapshot, in no order.
    #[must_use]
    pub fn keys(&self) -> Vec<Arc<Key>> {
        let shards = self.shards.iter().map(ArcSwap::load);
        shards
            .flat_map(|shard| shard.values().cloned().collect::<Vec<_>>())
            .collect()
    }

    fn shard(&self, hash: &KeyHash) -> &ArcSwap<Shard> {
        &self.shards[shard_index(hash)]
    }

    async fn follow(&self, revisions: &mut Revisions, follower: &mut Follower) {
        let mut poll = tokio::time::interval(POLL_INTERVAL);
        poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut requests = self.refreshes.requests();
        let mut announcements = self.session.announcements();
        loop {
            // A rehash that fails is queued again by the next use of the key.
            if let Err(error) = self.store_rehashes().await {
                tracing::warn!(%error, "failed to store the hashes of keys under the current secret");
            }
            let has_committed = tokio::select! {
                () = follower.changed() => true,
                _ = poll.tick() => false,
                () = requests.next() => false,
                // The session, which sends announcements, lives as long as this value.
                Ok(()) = announcements.changed() => false,
            };
            // Requests up to here are answered by reads from here on.
            let mut answered = requests.begin();
            let outcome = if has_committed {
                self.reload(revisions, follower).await
            } else {
                self.poll(revisions, follower).await
            };
            let mut failed = outcome.err();
            while let Some(error) = failed {
                if self.has_loaded.swap(false, Ordering::Relaxed) {
                    tracing::error!(%error, "directory load failed; the snapshot in memory stays in use");
                }
                tokio::time::sleep(RETRY_DELAY).await;
                answered = requests.begin();
                failed = self.retry(revisions, follower).await.err();
            }
            self.set_verified();
            if !self.has_loaded.swap(true, Ordering::Relaxed) {
                tracing::info!("directory load succeeded again");
            }
            self.refreshes.complete(answered);
        }
    }

    /// Applies commits of other processes, if there are any.
    async fn poll(&self, revisions: &mut Revisions, follower: &mut Follower) -> Result<()> {
        if self.session.generation().number != revisions.generation {
            *revisions = Revisions::unknown();
        } else if self.stored_revision().await? == revisions.sum {
            return Ok(());
        }
        self.reload(revisions, follower).await
    }

    /// Applies all changes. The revision is read first because its query fails sooner than a load.
    async fn retry(&self, revisions: &mut Revisions, follower: &mut Follower) -> Result<()> {
        self.stored_revision().await?;
        self.reload(revisions, follower).await
    }

    /// Returns the sum of all organizations' revisions.
    async fn stored_revision(&self) -> Result<i64> {
        let mut read = self.polled.read().await?;
        read.fetch_one(sql!(REVISION), |row| row.get("revision"))
            .await
    }

    /// Applies all changes since the known revisions. Concurrent commits are applied together by the next reload.
    ///
    /// Revisions are read before keys: a commit in between makes the keys newer than the revision says, never older.
    async fn reload(&self, known: &mut Revisions, follower: &mut Follower) -> Result<()> {
        let seen = follower.seen();
        known.generation = self.session.generation().number;
        let mut read = self.store.read().await?;
        let revision = |row: &store::Row<'_>| Ok((row.id("id")?, row.get("revision")?));
        let revisions: Vec<(OrganizationId, i64)> =
            read.fetch_all(sql!(REVISIONS), revision).await?;
        let sum = revisions.iter().map(|(_, revision)| revision + 1).sum();
        for (organization, revision) in revisions {
            let since = known.organizations.get(&organization).copied();
            if since != Some(revision) {
                read = self.apply_changes(read, &organization, since).await?;
                known.organizations.insert(organization, revision);
            }
        }
        known.sum = sum;
        self.unknown.clear();
        self.set_revision(sum);
        follower.applied(seen);
        Ok(())
    }

    /// Reloads everything that may have changed since a revision; everything if `since` is `None`.
    async fn apply_changes(
        &self,
        mut read: Read,
        organization: &OrganizationId,
        since: Option<i64>,
    ) -> Result<Read> {
        let invalidation = match since {
            Some(since) => Invalidation::since(&mut read, organization, since).await?,
            None => Invalidation::all(),
        };
        for selection in invalidation.settings {
            self.reload_settings(&mut read, organization, &selection)
                .await?;
        }
        for selection in invalidation.keys {
            let (returned, keys) = load_keys(read, organization, &selection).await?;
            read = returned;
            self.replace_keys(organization, &selection, keys);
        }
        Ok(read)
    }

    async fn reload_settings(
        &self,
        connection: &mut Connection,
        organization: &OrganizationId,
        selection: &SettingsSelection,
    ) -> Result<()> {
        let mut all = SettingsMap::clone(&self.settings.load());
        let before = all.get(organization).map(Arc::as_ref);
        let now = load_settings(connection, organization, before, selection).await?;
        all.insert(organization.clone(), Arc::new(now));
        self.settings.store(Arc::new(all));
        self.settings_changed.send_replace(());
        Ok(())
    }

    /// Replaces the selected keys in the snapshot by `keys`, and remembers those that are gone as revoked.
    fn replace_keys(
        &self,
        organization: &OrganizationId,
        selection: &KeySelection,
        keys: Vec<(KeyHash, Arc<Key>)>,
    ) {
        let mut by_shard: Vec<Vec<_>> = self.shards.iter().map(|_| Vec::new()).collect();
        for (hash, key) in keys {
            by_shard[shard_index(&hash)].push((hash, key));
        }
        for (shard, new) in self.shards.iter().zip(by_shard) {
            let is_old =
                |key: &Key| key.organization.id == *organization && selection.contains(key);
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
