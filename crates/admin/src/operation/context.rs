//! What a handler works with: an authorised connection or transaction that belongs to one organization.

use std::sync::Arc;

use access::Principal;
use base::ids::{Id, OrganizationId, ProjectId, UserId};
use base::{PermissionSet, Result, UnixTime};
use store::{Key, Page, PageRequest, Row, Statement, Transaction, Value};

use super::event::{self, Actor, Head};
use super::sources::Sources;
use super::{Event, Permit};
use crate::Services;

/// A statement whose `$1` is the caller's organization: the only kind that a handler can run.
#[derive(Clone)]
pub struct TenantStatement(Statement);

impl TenantStatement {
    fn new(organization: &OrganizationId, text: &'static str, values: Vec<Value>) -> Self {
        debug_assert!(
            text.contains("organization_id"),
            "every query carries its organization: {text}"
        );
        let mut all = Vec::with_capacity(values.len() + 1);
        all.push(Value::from(organization));
        all.extend(values);
        Self(Statement::new(text, all))
    }

    /// Adds a literal piece of text.
    pub fn push(&mut self, text: &'static str) -> &mut Self {
        self.0.push(text);
        self
    }

    /// Adds the next `$n` and its value.
    pub fn bind(&mut self, value: impl Into<Value>) -> &mut Self {
        self.0.bind(value);
        self
    }

    /// Adds `(…)` with a `$n` for each value.
    pub fn bind_list<V: Into<Value>>(&mut self, values: impl IntoIterator<Item = V>) -> &mut Self {
        self.0.bind_list(values);
        self
    }
}

/// The values of a statement's `$2`, `$3`, …; `$1` is the organization.
#[macro_export]
macro_rules! args {
    ($($value:expr),* $(,)?) => { vec![$(store::Value::from($value)),*] };
}

macro_rules! queries {
    ($context:ident) => {
        impl $context {
            /// The organization that the caller belongs to.
            #[must_use]
            pub fn organization(&self) -> &OrganizationId {
                self.permit.organization()
            }

            /// A statement of this organization: its `$1` is the organization's id, `values` are `$2`, `$3`, ….
            #[must_use]
            pub fn sql(&self, text: &'static str, values: Vec<Value>) -> TenantStatement {
                TenantStatement::new(self.organization(), text, values)
            }

            /// Every row of the answer.
            ///
            /// # Errors
            /// The database's.
            pub async fn fetch_all<T>(
                &mut self,
                statement: TenantStatement,
                read: fn(&Row<'_>) -> store::Result<T>,
            ) -> Result<Vec<T>> {
                Ok(self.connection.fetch_all(statement.0, read).await?)
            }

            /// The first row of the answer, if there is one.
            ///
            /// # Errors
            /// The database's.
            pub async fn fetch_optional<T>(
                &mut self,
                statement: TenantStatement,
                read: fn(&Row<'_>) -> store::Result<T>,
            ) -> Result<Option<T>> {
                Ok(self.connection.fetch_optional(statement.0, read).await?)
            }

            /// The row that `id` names.
            ///
            /// # Errors
            /// 404 when there is none; the database's.
            pub async fn find<T, I: Id>(
                &mut self,
                id: &I,
                statement: TenantStatement,
                read: fn(&Row<'_>) -> store::Result<T>,
            ) -> Result<T> {
                let found = self.fetch_optional(statement, read).await?;
                found.ok_or_else(|| base::Error::not_found(I::NOUN, id.as_str()))
            }
        }
    };
}

macro_rules! surroundings {
    ($context:ident) => {
        impl $context {
            /// Who may do this.
            #[must_use]
            pub fn permit(&self) -> &Permit {
                &self.permit
            }

            /// What the whole program shares.
            #[must_use]
            pub fn services(&self) -> &Services {
                &self.services
            }

            /// The time of this request.
            #[must_use]
            pub fn now(&self) -> UnixTime {
                self.services.clock.now()
            }
        }
    };
}

/// A connection that can only read, for one authorised request.
pub struct Read {
    connection: store::Read,
    permit: Permit,
    services: Arc<Services>,
    sources: Sources,
}

queries!(Read);

impl Drop for Read {
    fn drop(&mut self) {
        self.sources.read_from(self.connection.tables());
    }
}

impl Read {
    pub(super) fn new(connection: store::Read, permit: Permit, services: Arc<Services>) -> Self {
        Self {
            connection,
            permit,
            services,
            sources: Sources::default(),
        }
    }

    pub(super) fn sources(&self) -> Sources {
        self.sources.clone()
    }

    /// What the whole program shares. An answer that uses it is made anew each time.
    #[must_use]
    pub fn services(&self) -> &Services {
        self.sources.add();
        &self.services
    }

    /// The time of this request. An answer that uses it is made anew each time.
    #[must_use]
    pub fn now(&self) -> UnixTime {
        self.services().clock.now()
    }

    /// A page of the rows that `list` selects; `whole` is the same list without the caller's filters, in which a cursor
    /// must lie.
    ///
    /// # Errors
    /// 400 naming a cursor that is no item of the list; the database's.
    pub async fn page<T>(
        &mut self,
        request: &PageRequest,
        list: TenantStatement,
        whole: TenantStatement,
        key: impl Into<Key>,
        read: fn(&Row<'_>) -> store::Result<T>,
    ) -> Result<Page<T>> {
        request
            .fetch(&mut self.connection, list.0, whole.0, key.into(), read)
            .await
    }
}

/// A transaction of one authorised request. Dropped, it leaves no trace; only [`Done`] commits it.
pub struct Write {
    connection: Transaction,
    permit: Permit,
    services: Arc<Services>,
    head: Head,
    actor: Actor,
    project: Option<(ProjectId, String)>,
    /// The events besides the one that the change ends with.
    further: Vec<Event>,
}

queries!(Write);
surroundings!(Write);

impl Write {
    /// Begins, and takes the organization's turn: its changes happen one after the other on every database, so what a
    /// handler has checked stays true until its commit. The permit is checked again: since it was given, the request's
    /// body has come in, which may have taken as long as the sender liked.
    ///
    /// # Errors
    /// 401: the caller's key cannot be used any more. 403: the permission was taken away. The database's.
    pub(super) async fn begin(services: Arc<Services>, permit: Permit) -> Result<Self> {
        let mut connection = services.store.begin().await?;
        let head = Head::advance(&mut connection, permit.organization()).await?;
        let permit = permit.renew(&mut connection, services.clock.now()).await?;
        let actor = permit
            .caller()
            .map_or_else(Actor::unknown, |caller| Actor::of(caller));
        Ok(Self {
            connection,
            actor,
            permit,
            services,
            head,
            project: None,
            further: Vec::new(),
        })
    }

    pub(super) fn connection(&mut self) -> &mut Transaction {
        &mut self.connection
    }

    /// The organization's default project.
    pub(crate) fn default_project(&self) -> Option<&ProjectId> {
        self.head.default_project.as_ref().map(|(id, _)| id)
    }

    /// What lies in a project is recorded with it; what lies in none, with the default project, as the contract says.
    pub(crate) fn in_project(&mut self, project: Option<(ProjectId, String)>) {
        self.project = project;
    }

    /// What the caller may do in the organization, or in one of its projects.
    ///
    /// # Errors
    /// The database's.
    pub async fn permissions(&mut self, project: Option<&ProjectId>) -> Result<PermissionSet> {
        match self.permit.caller() {
            Some(caller) => caller.permissions_in(&mut self.connection, project).await,
            None => Ok(PermissionSet::default()),
        }
    }

    /// What somebody else may do in the organization, or in one of its projects.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn permissions_of(
        &mut self,
        principal: Principal<'_>,
        project: Option<&ProjectId>,
    ) -> Result<PermissionSet> {
        let organization = self.permit.organization();
        Ok(access::permissions(&mut self.connection, organization, principal, project).await?)
    }

    /// Without a key, the operation itself finds out who does it.
    pub(crate) fn acted_by(&mut self, user: &UserId, email: &str) {
        self.actor = Actor::in_session(user, email);
    }

    /// Records one more event of the same change, after the one that [`Write::done`] is given.
    pub(crate) fn also(&mut self, event: Event) {
        self.further.push(event);
    }

    /// A new id.
    #[must_use]
    pub fn new_id<I: Id>(&self) -> I {
        self.services.ids.next()
    }

    /// Runs a statement that gives no rows; how many rows it changed.
    ///
    /// # Errors
    /// The database's.
    pub async fn execute(&mut self, statement: TenantStatement) -> Result<u64> {
        Ok(self.connection.execute(statement.0).await?)
    }

    /// Appends the events, commits, and waits until this node acts on the change.
    async fn commit(mut self, event: Event) -> Result<()> {
        let own = self.project.take();
        let project = own.or_else(|| self.head.default_project.take());
        let organization = self.permit.organization().clone();
        let effective_at = self.services.clock.now();
        let entry = |event| event::Entry {
            id: self.services.ids.next(),
            organization_id: organization.clone(),
            effective_at,
            project: project.clone(),
            actor: self.actor.clone(),
            event,
        };
        event::append(&mut self.connection, &self.head, entry(event)).await?;
        for event in self.further {
            let head = Head::advance(&mut self.connection, &organization).await?;
            event::append(&mut self.connection, &head, entry(event)).await?;
        }
        self.connection.commit().await?;
        self.services.store.revision().settled().await;
        Ok(())
    }

    /// The change is made: `event` says what it was, `answer` is what the caller gets.
    #[must_use]
    pub fn done<T>(self, event: Event, answer: T) -> Done<T> {
        Done {
            change: Some((self, event)),
            answer,
        }
    }

    /// There was nothing to change: nothing is committed and nothing recorded.
    #[must_use]
    pub fn unchanged<T>(self, answer: T) -> Done<T> {
        Done {
            change: None,
            answer,
        }
    }
}

/// The end of a write: an answer together with the transaction and its audit event, or with neither.
pub struct Done<T> {
    change: Option<(Write, Event)>,
    answer: T,
}

impl<T> Done<T> {
    /// Makes the change last, if there is one.
    pub(super) async fn commit(self) -> Result<T> {
        if let Some((write, event)) = self.change {
            write.commit(event).await?;
        }
        Ok(self.answer)
    }
}

/// The context of an ingest: no transaction, since the ledger has a writer of its own.
pub struct Ingest {
    connection: store::Read,
    permit: Permit,
    services: Arc<Services>,
    /// Whether the body is one JSON value per line.
    pub lines: bool,
}

queries!(Ingest);
surroundings!(Ingest);

impl Ingest {
    pub(super) fn new(
        connection: store::Read,
        permit: Permit,
        services: Arc<Services>,
        lines: bool,
    ) -> Self {
        Self {
            connection,
            permit,
            services,
            lines,
        }
    }
}
