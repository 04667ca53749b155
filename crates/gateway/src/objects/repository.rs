//! Repository of the objects that upstreams keep for clients: their owners, in the table `stored_objects`.

use base::ids::{Id, KeyId, OrganizationId, ProjectId, UserId};
use base::time::SECONDS_PER_MINUTE;
use base::{Clock, Error, UnixTime};
use store::{Page, PageRequest, Row, SortKey, Statement, Store, sql};

use crate::object_kind::ObjectKind;

/// The age, in milliseconds, below which an upstream may not find an object yet, so that the object is not taken for deleted.
const MIN_FORGET_AGE: i64 = 15 * SECONDS_PER_MINUTE * 1_000;

/// A conflict means that the owner, or another project, has the id of the upstream already.
const ADD: &str = "INSERT INTO stored_objects (organization_id, project_id, kind, id, upstream, purpose, api_key_id, \
                   user_id, created_at, work, due_at, bytes, expires_at) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT DO NOTHING";

const OF_KIND: &str = "\
    SELECT organization_id, project_id, kind, id, upstream, purpose, api_key_id, user_id, created_at, work, due_at, bytes, \
    expires_at FROM stored_objects WHERE organization_id = $1 AND project_id = $2 AND kind = $3 \
    AND (expires_at IS NULL OR expires_at > $4)";

/// Objects that are due, and that no node has claimed.
const DUE: &str = "\
    SELECT organization_id, project_id, kind, id, upstream, purpose, api_key_id, user_id, created_at, work, due_at, bytes, \
    expires_at \
    FROM stored_objects WHERE due_at <= $1 AND (claimed_until IS NULL OR claimed_until <= $2) \
    ORDER BY due_at, id LIMIT $3";

/// The duration of a claim, by the database's clock: longer than a poll takes, unless an upstream takes minutes. If the node
/// dies in the meantime, another one polls after that.
const CLAIM_SECONDS: i64 = 5 * SECONDS_PER_MINUTE;
/// The duration of a claim of a response. It is short, so that the usage is known soon if the node dies, since a response that two
/// nodes poll at once is metered once all the same.
const RESPONSE_CLAIM_SECONDS: i64 = 10;

/// The earliest time at which an object of a kind can be polled.
const NEXT_DUE: &str = "\
    SELECT MIN(CASE WHEN claimed_until > due_at THEN claimed_until ELSE due_at END) AS due_at FROM stored_objects \
    WHERE kind = $1 AND due_at IS NOT NULL";

/// Removes some of the expired objects of all projects. Those that are still polled have usage that the ledger lacks.
const REMOVE_EXPIRED: &str = "\
    DELETE FROM stored_objects WHERE (organization_id, project_id, kind, id, upstream) IN \
    (SELECT organization_id, project_id, kind, id, upstream FROM stored_objects WHERE expires_at <= $1 AND due_at IS NULL \
    ORDER BY expires_at LIMIT $2)";

const COUNT: &str = "SELECT COUNT(*) AS count FROM stored_objects WHERE organization_id = $1 AND project_id = $2 AND kind = $3";

/// The owner of an object.
#[derive(Clone)]
pub struct ObjectOwner {
    /// Organization of the project.
    pub organization: OrganizationId,
    /// Project that alone sees the object.
    pub project: ProjectId,
    /// Key that created the object.
    pub key: Option<KeyId>,
    /// User who owns the key, if a user does.
    pub user: Option<UserId>,
}

/// An object that an upstream keeps for a project.
#[derive(Clone)]
pub struct UpstreamObject {
    /// Owner of the object.
    pub owner: ObjectOwner,
    /// Kind of the object.
    pub kind: ObjectKind,
    /// Upstream's id of the object.
    pub id: String,
    /// Name of the upstream.
    pub upstream: String,
    /// Purpose of a file or an upload, or the name of a container; empty for other kinds.
    pub purpose: String,
    /// Time of creation, in milliseconds since 1970.
    pub created_at: i64,
    /// Requests of a batch, or of the file that is its input, or facts for the metering of a response in the background, in JSON.
    pub work: Option<String>,
    /// Time of the next poll, if there is to be one; of an upload and its parts, the time at which they expire.
    pub due_at: Option<UnixTime>,
    /// Size of an upload, or of a file that came as one.
    pub bytes: Option<i64>,
    /// Time at which the upstream deletes the object by itself, if it does.
    pub expires_at: Option<UnixTime>,
}

/// The repository.
pub struct ObjectRepository {
    store: Store,
    clock: Clock,
}

impl ObjectRepository {
    /// Returns the repository in a store.
    #[must_use]
    pub fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock }
    }

    /// Adds an object. Returns false if another project owns the same id of the same upstream already.
    ///
    /// Adding an object of the same owner again changes nothing, and returns true.
    ///
    /// # Errors
    /// The database's.
    pub async fn add(&self, object: &UpstreamObject) -> Result<bool, Error> {
        if self.write(add(object)).await? == 1 {
            return Ok(true);
        }
        let known = self
            .find(&object.owner, object.kind, &[object.id.as_str()])
            .await?;
        let mut known = known.iter();
        Ok(known.any(|known| known.upstream == object.upstream))
    }

    /// Adds objects in one transaction. Those whose ids are taken change nothing.
    ///
    /// # Errors
    /// The database's: nothing is added.
    pub(super) async fn add_all(
        &self,
        objects: impl Iterator<Item = &UpstreamObject>,
    ) -> Result<(), Error> {
        let mut transaction = self.store.begin_untracked().await?;
        for object in objects {
            transaction.execute(add(object)).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Returns the objects of the owner's project that have these ids and are not expired, in any order. Several upstreams may
    /// have an object with the same id.
    ///
    /// # Errors
    /// The database's.
    pub async fn find(
        &self,
        owner: &ObjectOwner,
        kind: ObjectKind,
        ids: &[&str],
    ) -> Result<Vec<UpstreamObject>, Error> {
        let mut statement = self.of_kind(owner, kind);
        // PostgreSQL refuses a text with a NUL character, which no id has.
        let ids = ids.iter().copied().filter(|id| !id.contains('\0'));
        statement.push(" AND id IN ").bind_list(ids);
        let mut read = self.store.read().await?;
        Ok(read.fetch_all(statement, UpstreamObject::read).await?)
    }

    /// Returns a page of the objects of the owner's project, restricted to a purpose if one is given.
    ///
    /// # Errors
    /// 400: a cursor names no such object.
    pub async fn page(
        &self,
        owner: &ObjectOwner,
        kind: ObjectKind,
        purpose: Option<&str>,
        page: &PageRequest,
    ) -> Result<Page<UpstreamObject>, Error> {
        let (mut list, whole) = (self.of_kind(owner, kind), self.of_kind(owner, kind));
        if let Some(purpose) = purpose {
            list.push(" AND purpose = ").bind(purpose);
        }
        let mut read = self.store.read().await?;
        let key = SortKey::by_time("created_at", "id");
        page.fetch(&mut read, list, whole, key, UpstreamObject::read)
            .await
    }

    /// Returns the number of objects of a kind that the owner's project has; of containers, those that run.
    ///
    /// # Errors
    /// The database's.
    pub async fn count(&self, owner: &ObjectOwner, kind: ObjectKind) -> Result<u64, Error> {
        let mut statement = sql!(COUNT, &owner.organization, &owner.project, kind.as_str());
        if kind == ObjectKind::Container {
            statement.push(" AND due_at IS NOT NULL");
        }
        let mut read = self.store.read().await?;
        let count: i64 = read.fetch_one(statement, |row| row.get("count")).await?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Returns the objects of all projects that are due at `now` and claimed by no node, the longest due first.
    ///
    /// # Errors
    /// The database's.
    pub async fn due(&self, now: UnixTime, limit: i64) -> Result<Vec<UpstreamObject>, Error> {
        let mut read = self.store.read().await?;
        let database_now = read.now().await?;
        let statement = sql!(DUE, now, database_now, limit);
        Ok(read.fetch_all(statement, UpstreamObject::read).await?)
    }

    /// Returns the earliest time at which an object of a kind, of any project, is due and claimed by no node; `None` if none is to be
    /// polled.
    ///
    /// # Errors
    /// The database's.
    pub(super) async fn next_due(&self, kind: ObjectKind) -> Result<Option<UnixTime>, Error> {
        let mut read = self.store.read().await?;
        let statement = sql!(NEXT_DUE, kind.as_str());
        Ok(read
            .fetch_one(statement, |row| row.optional_time("due_at"))
            .await?)
    }

    /// Claims a due object for this node, until the object is due another time or for 5 minutes, a response for 10 seconds. Returns false if
    /// another node was faster.
    ///
    /// # Errors
    /// The database's.
    pub async fn claim(&self, object: &UpstreamObject) -> Result<bool, Error> {
        let mut transaction = self.store.begin_untracked().await?;
        let now = transaction.now().await?;
        let seconds = match object.kind {
            ObjectKind::Response => RESPONSE_CLAIM_SECONDS,
            _ => CLAIM_SECONDS,
        };
        let mut claim = sql!(
            "UPDATE stored_objects SET claimed_until = $1 WHERE due_at = $2 AND (claimed_until IS NULL OR claimed_until <= $3)",
            now.plus(seconds),
            object.due_at,
            now
        );
        claim.push(" AND ");
        is_object(&mut claim, object);
        let claimed = transaction.execute(claim).await? == 1;
        transaction.commit().await?;
        Ok(claimed)
    }

    /// Sets the time of the next poll, if there is to be one, and releases the claim.
    ///
    /// # Errors
    /// The database's.
    pub async fn set_due(
        &self,
        object: &UpstreamObject,
        at: Option<UnixTime>,
    ) -> Result<(), Error> {
        let mut statement = sql!(
            "UPDATE stored_objects SET due_at = $1, claimed_until = NULL",
            at
        );
        self.write_one(&mut statement, object).await
    }

    /// Sets the requests of the file that is the input of a batch.
    ///
    /// # Errors
    /// The database's.
    pub async fn set_work(&self, object: &UpstreamObject, work: &str) -> Result<(), Error> {
        let mut statement = sql!("UPDATE stored_objects SET work = $1", work);
        self.write_one(&mut statement, object).await
    }

    /// Ends the work of an object, which is due no more.
    ///
    /// # Errors
    /// The database's.
    pub(super) async fn end_work(&self, object: &UpstreamObject) -> Result<(), Error> {
        let mut statement =
            sql!("UPDATE stored_objects SET work = NULL, due_at = NULL, claimed_until = NULL");
        self.write_one(&mut statement, object).await
    }

    /// Removes an object that was deleted.
    ///
    /// # Errors
    /// The database's.
    pub async fn remove(&self, object: &UpstreamObject) -> Result<(), Error> {
        let mut statement = sql!("DELETE FROM stored_objects");
        self.write_one(&mut statement, object).await
    }

    /// Removes expired objects of all projects, at most `limit`, and returns their number.
    ///
    /// # Errors
    /// The database's.
    pub(super) async fn remove_expired(&self, limit: i64) -> Result<u64, Error> {
        self.write(sql!(REMOVE_EXPIRED, self.clock.now(), limit))
            .await
    }

    /// True if the object is so new that its upstream may not find it yet.
    #[must_use]
    pub fn is_young(&self, object: &UpstreamObject) -> bool {
        self.clock.now_milliseconds() < object.created_at.saturating_add(MIN_FORGET_AGE)
    }

    fn of_kind(&self, owner: &ObjectOwner, kind: ObjectKind) -> Statement {
        let now = self.clock.now();
        sql!(
            OF_KIND,
            &owner.organization,
            &owner.project,
            kind.as_str(),
            now
        )
    }

    async fn write_one(
        &self,
        statement: &mut Statement,
        object: &UpstreamObject,
    ) -> Result<(), Error> {
        statement.push(" WHERE ");
        is_object(statement, object);
        self.write(statement.clone()).await.map(drop)
    }

    /// Writes without a new revision, because no snapshot has objects.
    async fn write(&self, statement: Statement) -> Result<u64, Error> {
        let mut transaction = self.store.begin_untracked().await?;
        let count = transaction.execute(statement).await?;
        transaction.commit().await?;
        Ok(count)
    }
}

/// Adds the condition that a row is the one of an object.
fn is_object(statement: &mut Statement, object: &UpstreamObject) {
    let UpstreamObject { owner, .. } = object;
    statement.push("organization_id = ");
    statement
        .bind(&owner.organization)
        .push(" AND project_id = ");
    statement.bind(&owner.project).push(" AND kind = ");
    statement.bind(object.kind.as_str()).push(" AND id = ");
    statement.bind(object.id.as_str()).push(" AND upstream = ");
    statement.bind(object.upstream.as_str());
}

fn add(object: &UpstreamObject) -> Statement {
    let UpstreamObject { owner, .. } = object;
    sql!(
        ADD,
        &owner.organization,
        &owner.project,
        object.kind.as_str(),
        object.id.as_str(),
        object.upstream.as_str(),
        object.purpose.as_str(),
        owner.key.as_ref().map(KeyId::as_str),
        owner.user.as_ref().map(UserId::as_str),
        object.created_at,
        object.work.as_deref(),
        object.due_at,
        object.bytes,
        object.expires_at
    )
}

impl UpstreamObject {
    fn read(row: &Row<'_>) -> store::Result<Self> {
        Ok(Self {
            owner: ObjectOwner {
                organization: row.id("organization_id")?,
                project: row.id("project_id")?,
                key: row.optional_id("api_key_id")?,
                user: row.optional_id("user_id")?,
            },
            kind: row.word("kind", ObjectKind::parse)?,
            id: row.get("id")?,
            upstream: row.get("upstream")?,
            purpose: row.get("purpose")?,
            created_at: row.get("created_at")?,
            work: row.get("work")?,
            due_at: row.optional_time("due_at")?,
            bytes: row.get("bytes")?,
            expires_at: row.optional_time("expires_at")?,
        })
    }
}
