//! The keys and what they may do: a snapshot in memory, replaced when the database has changed.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use base::ids::{Id, KeyId, OrganizationId, ProjectId, UserId};
use base::secret::{KeyHash, KeyKind};
use base::{PermissionSet, UnixTime};
use http::HeaderValue;
use store::{Follower, Row, Store, sql};
use tokio_util::task::AbortOnDropHandle;

/// How often other processes' commits are looked for.
const POLL: Duration = Duration::from_millis(250);
/// How long after a failed load the next one is tried.
const RETRY: Duration = Duration::from_millis(500);

/// Every organization's entry counts, so that a new organization moves the sum as well.
const REVISION: &str =
    "SELECT CAST(COALESCE(SUM(revision + 1), 0) AS BIGINT) AS revision FROM organizations";

const KEYS: &str = "
    SELECT k.hash, k.id, k.kind, k.organization_id, k.project_id, k.user_id, k.scopes, k.expires_at,
           p.archived_at, p.id AS known_project_id, COALESCE(u.id, s.id) AS known_owner_id
    FROM api_keys k
    LEFT JOIN projects p ON p.organization_id = k.organization_id AND p.id = k.project_id
    LEFT JOIN users u ON u.organization_id = k.organization_id AND u.id = k.user_id
    LEFT JOIN service_accounts s
        ON s.organization_id = k.organization_id AND s.project_id = k.project_id AND s.id = k.service_account_id";

/// A key as it is now.
pub(crate) struct Key {
    pub(crate) id: KeyId,
    pub(crate) kind: KeyKind,
    pub(crate) organization: Arc<Organization>,
    /// `None` for an admin key, and for a key whose project is gone.
    pub(crate) project: Option<Arc<Project>>,
    /// Whose it is, when it is a user's.
    pub(crate) user: Option<UserId>,
    pub(crate) owner_exists: bool,
    /// What its owner may do, narrowed by its scopes.
    pub(crate) permissions: PermissionSet,
    pub(crate) expires_at: Option<UnixTime>,
}

/// Whose a key is in the end.
pub(crate) struct Organization {
    pub(crate) id: OrganizationId,
    /// Its id, ready for answers.
    pub(crate) header: HeaderValue,
}

/// Where a key belongs.
pub(crate) struct Project {
    pub(crate) id: ProjectId,
    pub(crate) is_archived: bool,
}

/// All keys, by their hashes.
#[derive(Default)]
struct Snapshot {
    keys: HashMap<KeyHash, Arc<Key>>,
    revision: i64,
}

/// The snapshot in use.
pub(crate) struct Directory {
    current: ArcSwap<Snapshot>,
    is_fresh: AtomicBool,
}

impl Directory {
    /// Loads the keys and follows their changes for as long as the handle lives.
    pub(crate) async fn start(store: Store) -> store::Result<(Arc<Self>, AbortOnDropHandle<()>)> {
        let mut follower = store.revision().follow();
        let seen = follower.seen();
        let directory = Arc::new(Self {
            current: ArcSwap::from_pointee(load(&store).await?),
            is_fresh: AtomicBool::new(true),
        });
        follower.applied(seen);
        let following = Arc::clone(&directory).follow(store, follower);
        Ok((directory, AbortOnDropHandle::new(tokio::spawn(following))))
    }

    /// The key with this hash.
    pub(crate) fn find(&self, hash: &KeyHash) -> Option<Arc<Key>> {
        self.current.load().keys.get(hash).cloned()
    }

    /// Whether the last attempt to load the keys succeeded.
    pub(crate) fn is_fresh(&self) -> bool {
        self.is_fresh.load(Ordering::Relaxed)
    }

    async fn follow(self: Arc<Self>, store: Store, mut follower: Follower) {
        let mut poll = tokio::time::interval(POLL);
        poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let outcome = tokio::select! {
                () = follower.changed() => self.reload(&store, &mut follower).await,
                _ = poll.tick() => match revision(&store).await {
                    Ok(revision) if revision == self.current.load().revision => Ok(()),
                    Ok(_) => self.reload(&store, &mut follower).await,
                    Err(error) => Err(error),
                },
            };
            let mut failed = outcome.err();
            while let Some(error) = failed {
                if self.is_fresh.swap(false, Ordering::Relaxed) {
                    tracing::error!(%error, "the keys could not be loaded; those in memory stay in use");
                }
                tokio::time::sleep(RETRY).await;
                failed = self.reload(&store, &mut follower).await.err();
            }
            if !self.is_fresh.swap(true, Ordering::Relaxed) {
                tracing::info!("the keys could be loaded again");
            }
        }
    }

    /// Commits that happen meanwhile are taken in together by the next reload.
    async fn reload(&self, store: &Store, follower: &mut Follower) -> store::Result<()> {
        let seen = follower.seen();
        self.current.store(Arc::new(load(store).await?));
        follower.applied(seen);
        Ok(())
    }
}

async fn revision(store: &Store) -> store::Result<i64> {
    let mut read = store.read().await?;
    read.fetch_one(sql!(REVISION), |row| row.get("revision"))
        .await
}

/// Reads the revision first: a commit in between makes the keys newer than it says, never older.
async fn load(store: &Store) -> store::Result<Snapshot> {
    let mut read = store.read().await?;
    let revision = read
        .fetch_one(sql!(REVISION), |row| row.get("revision"))
        .await?;
    let (read, rows) = read.fetch_all_aside(sql!(KEYS), KeyRow::read).await?;
    let (_, permissions) = access::permissions_of_keys(read).await?;
    let mut shared = SharedParts::default();
    let keys = rows.into_iter().filter_map(|row| {
        let of_owner = permissions.get(&row.hash).copied().unwrap_or_default();
        Some((row.hash, Arc::new(shared.key(row, of_owner)?)))
    });
    let keys = keys.collect();
    Ok(Snapshot { keys, revision })
}

struct KeyRow {
    hash: KeyHash,
    id: KeyId,
    kind: Option<KeyKind>,
    organization: OrganizationId,
    /// The project, if there is one, and when it was archived, if it was.
    project: Option<(ProjectId, Option<UnixTime>)>,
    user: Option<UserId>,
    owner_exists: bool,
    scopes: String,
    expires_at: Option<UnixTime>,
}

impl KeyRow {
    fn read(row: &Row<'_>) -> store::Result<Self> {
        let archived_at = row.optional_time("archived_at")?;
        Ok(Self {
            hash: row.key_hash("hash")?,
            id: row.id("id")?,
            kind: KeyKind::parse(&row.get::<String>("kind")?),
            organization: row.id("organization_id")?,
            project: row
                .optional_id("known_project_id")?
                .map(|id| (id, archived_at)),
            user: row.optional_id("user_id")?,
            owner_exists: row.get::<Option<String>>("known_owner_id")?.is_some(),
            scopes: row.get("scopes")?,
            expires_at: row.optional_time("expires_at")?,
        })
    }
}

/// What several keys share.
#[derive(Default)]
struct SharedParts {
    organizations: HashMap<OrganizationId, Arc<Organization>>,
    projects: HashMap<(OrganizationId, ProjectId), Arc<Project>>,
}

impl SharedParts {
    /// `None` for a key of an unknown kind: it opens nothing.
    fn key(&mut self, row: KeyRow, of_owner: PermissionSet) -> Option<Key> {
        let project = row.project.map(|(id, archived_at)| {
            let place = (row.organization.clone(), id.clone());
            let project = self.projects.entry(place).or_insert_with(|| {
                Arc::new(Project {
                    id,
                    is_archived: archived_at.is_some(),
                })
            });
            Arc::clone(project)
        });
        let organization = self.organizations.entry(row.organization.clone());
        let organization = organization.or_insert_with(|| {
            Arc::new(Organization {
                header: HeaderValue::from_str(row.organization.as_str())
                    .unwrap_or(HeaderValue::from_static("")),
                id: row.organization,
            })
        });
        Some(Key {
            id: row.id,
            kind: row.kind?,
            organization: Arc::clone(organization),
            project,
            user: row.user,
            owner_exists: row.owner_exists,
            permissions: of_owner.intersection(PermissionSet::from_scopes(&row.scopes)),
            expires_at: row.expires_at,
        })
    }
}
