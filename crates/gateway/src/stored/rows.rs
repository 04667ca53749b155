//! Whose everything is that model servers keep: the table `stored_objects`.

use access::Key as ApiKey;
use base::ids::{Id, KeyId, OrganizationId, ProjectId, UserId};
use base::time::MINUTE;
use base::{Clock, Error, UnixTime};
use store::{Key, Page, PageRequest, Row, Statement, Store, sql};

use super::Kind;
use crate::identify::Caller;

/// What has just been made may not be found yet: for so many milliseconds its upstream is not believed that it is gone.
const YOUNG: i64 = 15 * MINUTE * 1_000;

/// What must be unique is taken where both are the same.
const ADD: &str = "INSERT INTO stored_objects (organization_id, project_id, kind, id, upstream, purpose, api_key_id, \
                   user_id, created_at, work, due_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
                   ON CONFLICT DO NOTHING";

const OF_KIND: &str =
    "SELECT * FROM stored_objects WHERE organization_id = $1 AND project_id = $2 AND kind = $3";

/// For whom something is kept.
#[derive(Clone)]
pub(crate) struct Owner {
    pub(crate) organization: OrganizationId,
    pub(crate) project: ProjectId,
    pub(crate) key: Option<KeyId>,
    pub(crate) user: Option<UserId>,
}

/// Something that an upstream keeps.
#[derive(Clone)]
pub(crate) struct Object {
    pub(crate) owner: Owner,
    pub(crate) kind: Kind,
    pub(crate) id: String,
    /// The name of the upstream.
    pub(crate) upstream: String,
    pub(crate) purpose: String,
    /// Milliseconds since 1970.
    pub(crate) created_at: i64,
    pub(crate) work: Option<String>,
    pub(crate) due_at: Option<UnixTime>,
}

/// The table.
pub(crate) struct Rows {
    store: Store,
    clock: Clock,
}

impl Owner {
    pub(crate) fn of(caller: &Caller) -> Self {
        let key: &ApiKey = &caller.key;
        Self {
            organization: key.organization.id.clone(),
            project: caller.project.id.clone(),
            key: Some(key.id.clone()),
            user: key.user().cloned(),
        }
    }
}

impl Rows {
    pub(crate) fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock }
    }

    /// Takes note of something; whether it is the owner's. It is not if the same id of the same upstream is another
    /// project's already.
    pub(crate) async fn add(&self, object: &Object) -> Result<bool, Error> {
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
    pub(crate) async fn find(
        &self,
        owner: &Owner,
        kind: Kind,
        ids: &[&str],
    ) -> Result<Vec<Object>, Error> {
        let mut statement = of_kind(owner, kind);
        statement.push(" AND id IN ").bind_list(ids.iter().copied());
        let mut read = self.store.read().await?;
        Ok(read.fetch_all(statement, Object::read).await?)
    }

    /// The one of the owner's project that has this id.
    ///
    /// # Errors
    /// 404: there is none.
    pub(crate) async fn get(&self, owner: &Owner, kind: Kind, id: &str) -> Result<Object, Error> {
        let found = self.find(owner, kind, &[id]).await?;
        let found = found.into_iter().next();
        found.ok_or_else(|| Error::not_found(kind.noun(), id))
    }

    /// A page of the owner's project's, for a purpose if one is given.
    ///
    /// # Errors
    /// 400: a cursor is none of them.
    pub(crate) async fn page(
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
        let key = Key::by_time("created_at", "id");
        page.fetch(&mut read, list, whole, key, Object::read).await
    }

    /// Those of all projects that were to be looked at before `now`, the longest due first.
    pub(crate) async fn due(&self, now: UnixTime, limit: i64) -> Result<Vec<Object>, Error> {
        let statement = sql!(
            "SELECT * FROM stored_objects WHERE due_at <= $1 ORDER BY due_at, id LIMIT $2",
            now,
            limit
        );
        let mut read = self.store.read().await?;
        Ok(read.fetch_all(statement, Object::read).await?)
    }

    /// Sets when to look at something next, if ever.
    pub(crate) async fn set_due(&self, object: &Object, at: Option<UnixTime>) -> Result<(), Error> {
        let mut statement = sql!("UPDATE stored_objects SET due_at = $1", at);
        self.write_one(&mut statement, object).await
    }

    /// Takes note that something was deleted.
    pub(crate) async fn remove(&self, object: &Object) -> Result<(), Error> {
        let mut statement = sql!("DELETE FROM stored_objects");
        self.write_one(&mut statement, object).await
    }

    /// Takes note that its upstream does not have something any more, if that can be believed.
    pub(crate) async fn forget(&self, object: &Object) -> Result<(), Error> {
        if self.is_young(object) {
            return Ok(());
        }
        self.remove(object).await
    }

    /// Whether it was made so short a time ago that its upstream may not find it yet.
    pub(crate) fn is_young(&self, object: &Object) -> bool {
        self.clock.now_milliseconds() < object.created_at.saturating_add(YOUNG)
    }

    async fn write_one(&self, statement: &mut Statement, object: &Object) -> Result<(), Error> {
        let Object { owner, .. } = object;
        statement.push(" WHERE organization_id = ");
        statement
            .bind(&owner.organization)
            .push(" AND project_id = ");
        statement.bind(&owner.project).push(" AND kind = ");
        statement.bind(object.kind.as_str()).push(" AND id = ");
        statement.bind(object.id.as_str());
        self.write(statement.clone()).await.map(drop)
    }

    /// No picture of the data shows any of this, so the revision stays.
    async fn write(&self, statement: Statement) -> Result<u64, Error> {
        let mut transaction = self.store.begin_quietly().await?;
        let count = transaction.execute(statement).await?;
        transaction.commit().await?;
        Ok(count)
    }
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
