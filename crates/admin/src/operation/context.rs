//! Contexts of handlers: an authorized connection or transaction of one organization, with the capabilities that a
//! handler may use. None of them reaches the store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ::usage::{
    LedgerPage, LedgerQuery, ModelFacts, ProjectRefusals, Recorder, RefusalCount, Reports,
    RetentionPeriods, Spend, Unpriced, UnpricedKey, unpriced,
};
use access::{Principal, Settings};
use base::ids::{Id, OrganizationId, ProjectId, UserId};
use base::secret::Pepper;
use base::{ClientAddress, Entropy, Error, PermissionSet, Result, UnixTime};
use store::{Page, PageRequest, Row, SortKey, Transaction, Value};

use super::event::{self, Actor, ChainHead};
use super::statement::{TenantSql, TenantStatement};
use super::{Event, Permit};
use crate::Services;
use crate::rate_limit_usage::RateLimitUsage;
use crate::session_lifetimes::SessionLifetimes;

macro_rules! queries {
    ($context:ident) => {
        impl $context {
            /// Returns the caller's organization.
            #[must_use]
            pub fn organization(&self) -> &OrganizationId {
                self.permit.organization()
            }

            /// Returns the permit of the request.
            #[must_use]
            pub fn permit(&self) -> &Permit {
                &self.permit
            }

            /// Returns the current time.
            #[must_use]
            pub fn now(&self) -> UnixTime {
                self.services.clock.now()
            }

            /// Returns the lifetimes of sessions.
            #[must_use]
            pub fn session_lifetimes(&self) -> SessionLifetimes {
                self.services.session_lifetimes
            }

            /// Returns a statement whose `$1` is the organization's id and whose `$2`, `$3`, … are `values`; see
            /// [`tenant_sql!`](crate::tenant_sql).
            #[must_use]
            pub fn sql(&self, sql: TenantSql, values: Vec<Value>) -> TenantStatement {
                TenantStatement::new(self.organization(), sql, values)
            }

            /// Returns every row of the result.
            ///
            /// # Errors
            /// The database's.
            pub async fn fetch_all<T>(
                &mut self,
                statement: TenantStatement,
                read: fn(&Row<'_>) -> store::Result<T>,
            ) -> Result<Vec<T>> {
                let statement = statement.into_inner();
                Ok(self.connection.fetch_all(statement, read).await?)
            }

            /// Returns the first row of the result; `None` if it is empty.
            ///
            /// # Errors
            /// The database's.
            pub async fn fetch_optional<T>(
                &mut self,
                statement: TenantStatement,
                read: fn(&Row<'_>) -> store::Result<T>,
            ) -> Result<Option<T>> {
                let statement = statement.into_inner();
                Ok(self.connection.fetch_optional(statement, read).await?)
            }

            /// Returns the first row of the result, which is the one that `id` names.
            ///
            /// # Errors
            /// 404 if the result is empty; the database's.
            pub async fn find<T, I: Id>(
                &mut self,
                id: &I,
                statement: TenantStatement,
                read: fn(&Row<'_>) -> store::Result<T>,
            ) -> Result<T> {
                let found = self.fetch_optional(statement, read).await?;
                found.ok_or_else(|| Error::not_found(I::NOUN, id.as_str()))
            }
        }
    };
}

macro_rules! models {
    ($context:ident) => {
        impl $context {
            /// Returns the models of this deployment: those with an upstream or a price.
            #[must_use]
            pub fn models(&self) -> &BTreeSet<String> {
                &self.services.models
            }

            /// Returns the facts about models.
            #[must_use]
            pub fn model_facts(&self) -> &ModelFacts {
                &self.services.facts
            }
        }
    };
}

/// The context of a read: a read-only connection.
pub struct Read {
    connection: store::Read,
    permit: Permit,
    services: Arc<Services>,
}

queries!(Read);
models!(Read);

impl Read {
    pub(super) fn new(connection: store::Read, permit: Permit, services: Arc<Services>) -> Self {
        Self {
            connection,
            permit,
            services,
        }
    }

    /// Returns the first row of the result in the usage database, which has the ledger and the stored bodies; `None` if it is
    /// empty.
    ///
    /// # Errors
    /// The database's.
    pub async fn fetch_optional_usage<T>(
        &mut self,
        statement: TenantStatement,
        read: fn(&Row<'_>) -> store::Result<T>,
    ) -> Result<Option<T>> {
        let mut connection = self.services.usage.read().await?;
        let statement = statement.into_inner();
        Ok(connection.fetch_optional(statement, read).await?)
    }

    /// Returns the refused requests of the organization, by day and error code: of one project, or of all.
    ///
    /// # Errors
    /// The database's.
    pub async fn refusals(
        &mut self,
        project: Option<&str>,
        start: UnixTime,
        end: UnixTime,
    ) -> Result<Vec<RefusalCount>> {
        let mut connection = self.services.usage.read().await?;
        let organization = self.permit.organization();
        Ok(::usage::refusals(&mut connection, organization, project, start, end).await?)
    }

    /// Returns the refused requests of the organization, by project and error code: the `limit` largest sums.
    ///
    /// # Errors
    /// The database's.
    pub async fn refusals_by_project(
        &mut self,
        project: Option<&str>,
        period: (UnixTime, UnixTime),
        limit: i64,
    ) -> Result<Vec<ProjectRefusals>> {
        let mut connection = self.services.usage.read().await?;
        let organization = self.permit.organization();
        let sums =
            ::usage::refusals_by_project(&mut connection, organization, project, period, limit);
        Ok(sums.await?)
    }

    /// Returns the number of days for which bodies are stored; 0 if none are.
    #[must_use]
    pub fn keep_bodies_days(&self) -> u32 {
        self.services.keep_bodies_days
    }

    /// Returns the caller's permissions in the organization: the owner's, limited by the scopes of the key.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn permissions(&mut self) -> Result<PermissionSet> {
        match self.permit.caller() {
            Some(caller) => caller.permissions_in(&mut self.connection, None).await,
            None => Ok(PermissionSet::default()),
        }
    }

    /// Returns the caller's permissions in a project, those in the organization among them.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn permissions_in(&mut self, project: &ProjectId) -> Result<PermissionSet> {
        match self.permit.caller() {
            Some(caller) => {
                let connection = &mut self.connection;
                caller.permissions_in(connection, Some(project)).await
            }
            None => Ok(PermissionSet::default()),
        }
    }

    /// Returns the use of rate limits on this node; `None` on a node without a gateway.
    #[must_use]
    pub(crate) fn rate_limit_usage(&self) -> Option<&dyn RateLimitUsage> {
        self.services.rate_limit_usage.get().map(Box::as_ref)
    }

    /// Returns the spend by month.
    #[must_use]
    pub(crate) fn spend(&self) -> &Spend {
        &self.services.spend
    }

    /// Returns the usage reports.
    #[must_use]
    pub fn reports(&self) -> &Reports {
        &self.services.reports
    }

    /// Reads a page of the organization's ledger, whichever organization the query names. Consumes the context, so that its
    /// connection returns to the pool first.
    ///
    /// # Errors
    /// The database's.
    pub async fn ledger_page(self, query: LedgerQuery) -> Result<LedgerPage> {
        let services = Arc::clone(&self.services);
        let query = LedgerQuery {
            organization_id: self.organization().clone(),
            ..query
        };
        drop(self);
        let mut connection = services.usage.read().await?;
        Ok(query.fetch(&mut connection).await?)
    }

    /// Returns the organization's usage without a price in the days from `start` to `end`. Consumes the context, so that its
    /// connection returns to the pool first.
    ///
    /// # Errors
    /// The database's.
    pub async fn unpriced(
        self,
        period: (UnixTime, UnixTime),
    ) -> Result<BTreeMap<UnpricedKey, Unpriced>> {
        let services = Arc::clone(&self.services);
        let organization = self.organization().clone();
        drop(self);
        let prices = services.recorder.prices();
        Ok(unpriced(&services.reports, prices, &organization, period).await?)
    }

    /// Returns a page of the rows that `list` selects; `whole` is the same list without the caller's filters, in which the
    /// cursors must be.
    ///
    /// # Errors
    /// 400 naming a cursor that is not an item of the list; the database's.
    pub async fn page<T>(
        &mut self,
        request: &PageRequest,
        list: TenantStatement,
        whole: TenantStatement,
        key: impl Into<SortKey>,
        read: fn(&Row<'_>) -> store::Result<T>,
    ) -> Result<Page<T>> {
        let (list, whole) = (list.into_inner(), whole.into_inner());
        request
            .fetch(&mut self.connection, list, whole, key.into(), read)
            .await
    }

    /// Returns the answer to a request for a page, which is as that of [`Read::page`].
    ///
    /// # Errors
    /// As [`Read::page`].
    pub async fn list<T, L: From<Page<T>>>(
        &mut self,
        request: &PageRequest,
        list: TenantStatement,
        whole: TenantStatement,
        key: impl Into<SortKey>,
        read: fn(&Row<'_>) -> store::Result<T>,
    ) -> Result<L> {
        Ok(self.page(request, list, whole, key, read).await?.into())
    }
}

/// The context of a write: a transaction, rolled back when dropped. Only [`Done`] commits it.
pub struct Write {
    connection: Transaction,
    permit: Permit,
    services: Arc<Services>,
    head: ChainHead,
    client: Option<ClientAddress>,
    actor: Actor,
    project: Option<(ProjectId, String)>,
    /// The events after the first.
    more_events: Vec<Event>,
}

queries!(Write);
models!(Write);

impl Write {
    /// Begins a transaction and locks the organization's row, so that writes of one organization are serial and a
    /// condition that the handler checks stays true until its commit. Checks the permit again, since reading the request's
    /// body may have taken long.
    ///
    /// # Errors
    /// 401: the caller's key is no longer valid. 403: the permission was taken away. The database's.
    pub(crate) async fn begin(
        services: Arc<Services>,
        permit: Permit,
        client: Option<ClientAddress>,
    ) -> Result<Self> {
        let mut connection = services.store.begin().await?;
        let head = ChainHead::advance(&mut connection, permit.organization()).await?;
        let permit = permit.renew(&mut connection, services.clock.now()).await?;
        let actor = permit
            .caller()
            .map_or_else(Actor::default, |caller| Actor::of(caller).at(client));
        Ok(Self {
            connection,
            client,
            actor,
            permit,
            services,
            head,
            project: None,
            more_events: Vec::new(),
        })
    }

    pub(super) fn connection(&mut self) -> &mut Transaction {
        &mut self.connection
    }

    /// Returns the organization's default project.
    pub(crate) fn default_project(&self) -> Option<&ProjectId> {
        self.head.default_project.as_ref().map(|(id, _)| id)
    }

    /// Sets the project that the audit events name. Without one they name the default project, as the contract requires.
    pub(crate) fn in_project(&mut self, project: Option<(ProjectId, String)>) {
        self.project = project;
    }

    /// Returns the caller's permissions in the organization, or in one of its projects.
    ///
    /// # Errors
    /// The database's.
    pub async fn permissions(&mut self, project: Option<&ProjectId>) -> Result<PermissionSet> {
        match self.permit.caller() {
            Some(caller) => caller.permissions_in(&mut self.connection, project).await,
            None => Ok(PermissionSet::default()),
        }
    }

    /// Returns another principal's permissions in the organization, or in one of its projects.
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

    /// Returns the address of the client; `None` if the request came over no connection.
    #[must_use]
    pub fn client(&self) -> Option<ClientAddress> {
        self.client
    }

    /// Sets the actor of a request without a key.
    pub(crate) fn acted_by(&mut self, user: &UserId, email: &str) {
        self.actor = Actor::in_session(user, email).at(self.client);
    }

    /// Sets the actor of a request by a person who did not prove an identity.
    pub(crate) fn acted_without_identity(&mut self) {
        self.actor = Actor::without_identity().at(self.client);
    }

    /// Records a further event of the same change, after the one that [`Write::done`] takes.
    pub(crate) fn also(&mut self, event: Event) {
        self.more_events.push(event);
    }

    /// Returns a new id.
    #[must_use]
    pub fn new_id<I: Id>(&self) -> I {
        self.services.ids.next()
    }

    /// Returns the source of randomness.
    #[must_use]
    pub fn entropy(&self) -> &Entropy {
        &self.services.entropy
    }

    /// Returns the secret that keys and tokens are hashed with.
    #[must_use]
    pub fn pepper(&self) -> &Pepper {
        &self.services.pepper
    }

    /// Returns the base URL of links in mails.
    #[must_use]
    pub fn public_url(&self) -> &str {
        &self.services.public_url
    }

    /// Runs a statement that returns no rows; returns the number of rows that it changed.
    ///
    /// # Errors
    /// The database's.
    pub async fn execute(&mut self, statement: TenantStatement) -> Result<u64> {
        Ok(self.connection.execute(statement.into_inner()).await?)
    }

    /// Runs a statement that deletes the row that `id` names.
    ///
    /// # Errors
    /// 404 if there is no such row; the database's.
    pub(crate) async fn delete<I: Id>(&mut self, id: &I, statement: TenantStatement) -> Result<()> {
        match self.execute(statement).await? {
            0 => Err(Error::not_found(I::NOUN, id.as_str())),
            _ => Ok(()),
        }
    }

    /// Appends the events, commits, and waits until this node enforces the change.
    async fn commit(mut self, event: Event) -> Result<()> {
        let own = self.project.take();
        let project = own.or_else(|| self.head.default_project.take());
        let organization = self.permit.organization().clone();
        let effective_at = self.services.clock.now();
        let entry = |event| event::AuditEntry {
            id: self.services.ids.next(),
            organization_id: organization.clone(),
            effective_at,
            project: project.clone(),
            actor: self.actor.clone(),
            event,
        };
        event::append(&mut self.connection, &self.head, entry(event)).await?;
        for event in self.more_events {
            let head = ChainHead::advance(&mut self.connection, &organization).await?;
            event::append(&mut self.connection, &head, entry(event)).await?;
        }
        self.connection.commit().await?;
        self.services.directory.settle().await;
        Ok(())
    }

    /// Ends a write that made a change: `event` describes it, `answer` goes to the caller.
    #[must_use]
    pub fn done<T>(self, event: Event, answer: T) -> Done<T> {
        Done {
            change: Some((self, event)),
            answer,
        }
    }

    /// Ends a write that had nothing to change: nothing is committed or recorded.
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
    /// Commits the change, if there is one, and returns the answer.
    pub(crate) async fn commit(self) -> Result<T> {
        if let Some((write, event)) = self.change {
            write.commit(event).await?;
        }
        Ok(self.answer)
    }
}

/// The context of an ingest: a read-only connection, and the ledger's recorder.
pub struct Ingest {
    connection: store::Read,
    permit: Permit,
    services: Arc<Services>,
    /// True if the body is NDJSON.
    pub lines: bool,
}

queries!(Ingest);

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

    /// Returns the only writer of the ledger.
    #[must_use]
    pub fn recorder(&self) -> &Recorder {
        &self.services.recorder
    }

    /// Returns the retention of the ledger.
    #[must_use]
    pub fn keep_usage(&self) -> RetentionPeriods {
        self.services.keep_usage
    }

    /// Returns the enforced settings of the organization and its projects.
    #[must_use]
    pub fn settings(&self) -> Arc<Settings> {
        self.services.directory.settings(self.organization())
    }
}
