//! Whose everything is that model servers keep for clients: the table `stored_objects`.

use base::ids::{Id, KeyId, OrganizationId, ProjectId, UserId};
use base::time::MINUTE;
use base::{Clock, Error, UnixTime, names};
use store::{Page, PageRequest, Row, SortKey, Statement, Store, sql};

/// What upstreams keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A file.
    File,
    /// A batch of requests.
    Batch,
    /// A vector store.
    VectorStore,
}

names! { Kind {
    File = "file",
    Batch = "batch",
    VectorStore = "vector_store",
}}

impl Kind {
    /// What messages call one.
    #[must_use]
    pub fn noun(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Batch => "batch",
            Self::VectorStore => "vector store",
        }
    }
}

/// What has just been made may not be found yet: for so many milliseconds its upstream is not believed that it is gone.
const YOUNG: i64 = 15 * MINUTE * 1_000;

/// What must be unique is taken where both are the same.
const ADD: &str = "INSERT INTO stored_objects (organization_id, project_id, kind, id, upstream, purpose, api_key_id, \
                   user_id, created_at, work, due_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
                   ON CONFLICT DO NOTHING";

const OF_KIND: &str = "\
    SELECT organization_id, project_id, kind, id, upstream, purpose, api_key_id, user_id, created_at, work, due_at \
    FROM stored_objects WHERE organization_id = $1 AND project_id = $2 AND kind = $3";

/// The objects that are due, and that no node is looking at.
const DUE: &str = "\
    SELECT organization_id, project_id, kind, id, upstream, purpose, api_key_id, user_id, created_at, work, due_at \
    FROM stored_objects WHERE due_at <= $1 AND (claimed_until IS NULL OR claimed_until <= $2) \
    ORDER BY due_at, id LIMIT $3";

/// The time for which what is due is one node's, by the database's clock: longer than looking at it takes, but for answers
/// that take minutes. If the node dies meanwhile, another one looks after that.
const CLAIM_SECONDS: i64 = 5 * MINUTE;

const COUNT: &str = "SELECT COUNT(*) AS count FROM stored_objects WHERE organization_id = $1 AND project_id = $2 AND kind = $3";

/// For whom something is kept.
#[derive(Clone)]
pub struct Owner {
    /// The organization.
    pub organization: OrganizationId,
    /// The project, which alone knows of it.
    pub project: ProjectId,
    /// The key that made it.
    pub key: Option<KeyId>,
    /// The user of that key, if it is a user's.
    pub user: Option<UserId>,
}

/// Something that an upstream keeps.
#[derive(Clone)]
pub struct Object {
    /// For whom.
    pub owner: Owner,
    /// What it is.
    pub kind: Kind,
    /// As its upstream calls it.
    pub id: String,
    /// The name of the upstream.
    pub upstream: String,
    /// What a file is for; empty for what is no file.
    pub purpose: String,
    /// Milliseconds since 1970.
    pub created_at: i64,
    /// What a batch, or the file that is its input, asks for, in JSON.
    pub work: Option<String>,
    /// When to look at what it has consumed, if ever.
    pub due_at: Option<UnixTime>,
}

/// The table.
pub struct Objects {
    store: Store,
    clock: Clock,
}

impl Objects {
    /// The table of this store.
    #[must_use]
    pub fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock }
    }

    /// Takes note of something; whether it is the owner's. It is not if the same id of the same upstream is another
    /// project's already.
    ///
    /// # Errors
    /// The database's.
    pub async fn add(&self, object: &Object) -> Result<bool, Error> {
        let Object { owner, .. } = object;
        let statement = sql!(
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
            object.due_at
        );
        if self.write(statement).await? == 1 {
            return Ok(true);
        }
        let known = self.find(owner, object.kind, &[object.id.as_str()]).await?;
        let mut known = known.iter();
        Ok(known.any(|known| known.upstream == object.upstream))
    }

    /// Those of the owner's project that have these ids.
    ///
    /// # Errors
    /// The database's.
    pub async fn find(
        &self,
        owner: &Owner,
        kind: Kind,
        ids: &[&str],
    ) -> Result<Vec<Object>, Error> {
        let mut statement = of_kind(owner, kind);
        // Nothing is called what no row can have.
        let ids = ids.iter().copied().filter(|id| !id.contains('\0'));
        statement.push(" AND id IN ").bind_list(ids);
        let mut read = self.store.read().await?;
        Ok(read.fetch_all(statement, Object::read).await?)
    }

    /// The one of the owner's project that has this id.
    ///
    /// # Errors
    /// 404: there is none.
    pub async fn get(&self, owner: &Owner, kind: Kind, id: &str) -> Result<Object, Error> {
        let found = self.find(owner, kind, &[id]).await?;
        let found = found.into_iter().next();
        found.ok_or_else(|| Error::not_found(kind.noun(), id))
    }

    /// A page of the owner's project's, for a purpose if one is given.
    ///
    /// # Errors
    /// 400: a cursor is none of them.
    pub async fn page(
        &self,
        owner: &Owner,
        kind: Kind,
        purpose: Option<&str>,
        page: &PageRequest,
    ) -> Result<Page<Object>, Error> {
        let (mut list, whole) = (of_kind(owner, kind), of_kind(owner, kind));
        if let Some(purpose) = purpose {
            list.push(" AND purpose = ").bind(purpose);
        }
        let mut read = self.store.read().await?;
        let key = SortKey::by_time("created_at", "id");
        page.fetch(&mut read, list, whole, key, Object::read).await
    }

    /// Returns the number of objects of a kind that the owner's project has.
    ///
    /// # Errors
    /// The database's.
    pub async fn count(&self, owner: &Owner, kind: Kind) -> Result<u64, Error> {
        let statement = sql!(COUNT, &owner.organization, &owner.project, kind.as_str());
        let mut read = self.store.read().await?;
        let count: i64 = read.fetch_one(statement, |row| row.get("count")).await?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Those of all projects that were to be looked at before `now`, the longest due first, without those that a node has
    /// claimed.
    ///
    /// # Errors
    /// The database's.
    pub async fn due(&self, now: UnixTime, limit: i64) -> Result<Vec<Object>, Error> {
        let mut read = self.store.read().await?;
        let database_now = read.now().await?;
        let statement = sql!(DUE, now, database_now, limit);
        Ok(read.fetch_all(statement, Object::read).await?)
    }

    /// Makes an object that is due this node's, until it is due another time or for 5 minutes; false when another node was
    /// faster.
    ///
    /// # Errors
    /// The database's.
    pub async fn claim(&self, object: &Object) -> Result<bool, Error> {
        let mut transaction = self.store.begin_untracked().await?;
        let now = transaction.now().await?;
        let mut claim = sql!(
            "UPDATE stored_objects SET claimed_until = $1 WHERE due_at = $2 AND (claimed_until IS NULL OR claimed_until <= $3)",
            now.plus(CLAIM_SECONDS),
            object.due_at,
            now
        );
        claim.push(" AND ");
        is_object(&mut claim, object);
        let claimed = transaction.execute(claim).await? == 1;
        transaction.commit().await?;
        Ok(claimed)
    }

    /// Sets when to look at something next, if ever; whoever has claimed it gives it back.
    ///
    /// # Errors
    /// The database's.
    pub async fn set_due(&self, object: &Object, at: Option<UnixTime>) -> Result<(), Error> {
        let mut statement = sql!(
            "UPDATE stored_objects SET due_at = $1, claimed_until = NULL",
            at
        );
        self.write_one(&mut statement, object).await
    }

    /// Takes note that something was deleted.
    ///
    /// # Errors
    /// The database's.
    pub async fn remove(&self, object: &Object) -> Result<(), Error> {
        let mut statement = sql!("DELETE FROM stored_objects");
        self.write_one(&mut statement, object).await
    }

    /// Takes note that its upstream does not have something any more, if that can be believed.
    ///
    /// # Errors
    /// The database's.
    pub async fn forget(&self, object: &Object) -> Result<(), Error> {
        if self.is_young(object) {
            return Ok(());
        }
        self.remove(object).await
    }

    /// Whether it was made so short a time ago that its upstream may not find it yet.
    #[must_use]
    pub fn is_young(&self, object: &Object) -> bool {
        self.clock.now_milliseconds() < object.created_at.saturating_add(YOUNG)
    }

    async fn write_one(&self, statement: &mut Statement, object: &Object) -> Result<(), Error> {
        statement.push(" WHERE ");
        is_object(statement, object);
        self.write(statement.clone()).await.map(drop)
    }

    /// No picture of the data shows any of this, so the revision stays.
    async fn write(&self, statement: Statement) -> Result<u64, Error> {
        let mut transaction = self.store.begin_untracked().await?;
        let count = transaction.execute(statement).await?;
        transaction.commit().await?;
        Ok(count)
    }
}

/// Adds the condition that a row is that of an object.
fn is_object(statement: &mut Statement, object: &Object) {
    let Object { owner, .. } = object;
    statement.push("organization_id = ");
    statement
        .bind(&owner.organization)
        .push(" AND project_id = ");
    statement.bind(&owner.project).push(" AND kind = ");
    statement.bind(object.kind.as_str()).push(" AND id = ");
    statement.bind(object.id.as_str());
}

fn of_kind(owner: &Owner, kind: Kind) -> Statement {
    sql!(OF_KIND, &owner.organization, &owner.project, kind.as_str())
}

impl Object {
    fn read(row: &Row<'_>) -> store::Result<Self> {
        Ok(Self {
            owner: Owner {
                organization: row.id("organization_id")?,
                project: row.id("project_id")?,
                key: row.optional_id("api_key_id")?,
                user: row.optional_id("user_id")?,
            },
            kind: row.word("kind", Kind::parse)?,
            id: row.get("id")?,
            upstream: row.get("upstream")?,
            purpose: row.get("purpose")?,
            created_at: row.get("created_at")?,
            work: row.get("work")?,
            due_at: row.optional_time("due_at")?,
        })
    }
}
