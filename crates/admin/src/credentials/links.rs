//! Links that sign a user in once: mailed on demand, made on the server's machine, or printed at the first start. The token
//! is in the fragment of the link, which browsers send to no server, and which programs that check links in mails do not
//! follow.

use std::sync::Arc;

use base::email::{Email, email_key};
use base::ids::{Id, IdGenerator, OrganizationId, SignInLinkId, UserId};
use base::permission::OrganizationRole;
use base::secret::{MAX_LENGTH, Pepper, Secret};
use base::{ClientAddress, Clock, Entropy, Error, Result, UnixTime, names};
use serde_json::json;
use store::{Connection, Row, Store, Transaction, sql};
use zeroize::Zeroizing;

use super::Account;
use crate::mail::{self, Mail};
use crate::operation::{Actor, AuditEntry, ChainHead, Event, EventType, Permit, Write, append};
use crate::sessions::{NewSession, StartedSession, start};
use crate::{Services, args, tenant_sql, users};

/// The validity of a link, in seconds.
pub const LINK_LIFETIME_SECONDS: i64 = 900;
/// The least time between two mails with links to a user, in seconds.
const MAIL_INTERVAL_SECONDS: i64 = 60;
const SECONDS_PER_MINUTE: i64 = 60;

names! {
    /// The maker of a link.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum LinkOrigin {
        /// The page that mails links.
        Mail = "mail",
        /// The command `orgplane sign-in link`.
        Command = "command",
        /// The first start, and every start as long as no user can sign in.
        FirstStart = "first_start",
    }
}

const INSERT: &str = "\
    INSERT INTO sign_in_links (organization_id, id, user_id, token_hash, origin, created_at, expires_at) \
    VALUES ($1, $2, $3, $4, $5, $6, $7)";

/// Returns the address of the page that takes the token.
#[must_use]
pub fn link_url(public_url: &str, token: &Secret) -> Zeroizing<String> {
    let base = public_url.trim_end_matches('/');
    Zeroizing::new(format!("{base}/sign-in/link#{}", token.reveal()))
}

/// Returns 400, identical for unknown, used and expired links.
fn invalid_token() -> Error {
    let message = "The link is unknown, has expired or was used already. Ask for a new one.";
    Error::refused("invalid_token", message).about("token")
}

/// Mails a link to the user of each account, unless one was mailed a moment ago.
///
/// # Errors
/// The database's.
pub async fn mail_links(
    services: &Arc<Services>,
    accounts: &[Account],
    client: Option<ClientAddress>,
) -> Result<()> {
    for account in accounts {
        // Addresses of users who were there before addresses were checked may not be valid.
        let Ok(recipient) = Email::new(&account.email) else {
            continue;
        };
        mail_link(services, account, &recipient, client).await?;
    }
    Ok(())
}

async fn mail_link(
    services: &Arc<Services>,
    account: &Account,
    recipient: &Email,
    client: Option<ClientAddress>,
) -> Result<()> {
    let permit = Permit::of_sign_in(&account.organization_id);
    let mut cx = Write::begin(Arc::clone(services), permit, client).await?;
    let now = cx.now();
    let recent = tenant_sql!(
        cx,
        "SELECT id FROM sign_in_links WHERE organization_id = $1 AND user_id = $2 AND origin = $3 AND created_at > $4",
        args![
            &account.user_id,
            LinkOrigin::Mail.as_str(),
            now.plus(-MAIL_INTERVAL_SECONDS)
        ],
    );
    if cx.fetch_optional(recent, |_| Ok(())).await?.is_some() {
        return Ok(());
    }
    let user = users::find(&mut cx, &account.user_id).await?;
    cx.acted_by(&user.id, &user.email);
    let (id, token): (SignInLinkId, _) = (cx.new_id(), Secret::token(cx.entropy()));
    let tidy = tenant_sql!(
        cx,
        "DELETE FROM sign_in_links WHERE organization_id = $1 AND user_id = $2 AND expires_at <= $3",
        args![&user.id, now],
    );
    cx.execute(tidy).await?;
    let expires_at = now.plus(LINK_LIFETIME_SECONDS);
    let insert = tenant_sql!(
        cx,
        INSERT,
        args![
            &id,
            &user.id,
            cx.pepper().hash_secret(&token),
            LinkOrigin::Mail.as_str(),
            now,
            expires_at
        ],
    );
    cx.execute(insert).await?;
    let mail = Mail {
        about: id.as_str(),
        recipient,
        subject: format!("Sign in to {}", account.organization_name),
        body: mail_text(cx.public_url(), account, &token),
        expires_at,
    };
    mail::queue(&mut cx, mail).await?;
    let event = created(&id, &user.id, LinkOrigin::Mail, expires_at);
    cx.done(event, ()).commit().await
}

fn mail_text(public_url: &str, account: &Account, token: &Secret) -> Zeroizing<String> {
    let (minutes, url) = (
        LINK_LIFETIME_SECONDS / SECONDS_PER_MINUTE,
        link_url(public_url, token),
    );
    Zeroizing::new(format!(
        "Sign in to {} within {minutes} minutes:\n\n{}\n\n\
         The link works once. If you did not ask for it, do nothing.\n",
        account.organization_name,
        url.as_str()
    ))
}

fn created(id: &SignInLinkId, user: &UserId, origin: LinkOrigin, expires_at: UnixTime) -> Event {
    let details = json!({"user_id": user, "origin": origin.as_str(), "expires_at": expires_at});
    Event::new(EventType::SignInLinkCreated, id, details).filed_under(user)
}

/// Signs in the user of a link, which works once.
///
/// # Errors
/// 400: the link is unknown, has expired or was used. The database's.
pub async fn redeem(
    services: &Arc<Services>,
    token: &str,
    client: Option<ClientAddress>,
    new: NewSession<'_>,
) -> Result<StartedSession> {
    if token.len() > MAX_LENGTH {
        return Err(invalid_token());
    }
    let organization = organization_of(services, token).await?;
    let permit = Permit::of_sign_in(&organization);
    let mut cx = Write::begin(Arc::clone(services), permit, client).await?;
    let mut delete = tenant_sql!(
        cx,
        "DELETE FROM sign_in_links WHERE organization_id = $1 AND token_hash IN ",
        args![],
    );
    delete.bind_list(cx.pepper().hashes(token));
    delete.push(" RETURNING user_id, expires_at");
    let read = |row: &Row<'_>| Ok((row.id("user_id")?, row.time("expires_at")?));
    let found: Option<(UserId, UnixTime)> = cx.fetch_optional(delete, read).await?;
    let (user, expires_at) = found.ok_or_else(invalid_token)?;
    if expires_at <= cx.now() {
        return Err(invalid_token());
    }
    let user = users::find(&mut cx, &user).await?;
    let (event, started) = start(&mut cx, &user, new).await?;
    cx.done(event, started).commit().await
}

async fn organization_of(services: &Services, token: &str) -> Result<OrganizationId> {
    let mut statement = sql!("SELECT organization_id FROM sign_in_links WHERE token_hash IN ");
    statement.bind_list(services.pepper.hashes(token));
    let mut connection = services.store.read().await?;
    let found = connection
        .fetch_optional(statement, |row| row.id("organization_id"))
        .await?;
    found.ok_or_else(invalid_token)
}

/// The parts with which commands of the server's machine make a link, without a running server.
pub struct NewLink<'a> {
    /// The store that keeps the link.
    pub store: &'a Store,
    /// The secret that the token is hashed with.
    pub pepper: &'a Pepper,
    /// The source of ids.
    pub ids: &'a IdGenerator,
    /// The time.
    pub clock: &'a Clock,
    /// The source of the token's randomness.
    pub entropy: &'a Entropy,
    /// The maker of the link.
    pub origin: LinkOrigin,
}

/// A link, which is shown once.
pub struct MadeLink {
    /// Organization of the user.
    pub organization_id: OrganizationId,
    /// Id of the user.
    pub user_id: UserId,
    /// E-mail address of the user, as it was written.
    pub email: String,
    /// Token of the link.
    pub token: Secret,
}

/// A user for whom a command makes a link.
struct LinkUser {
    organization: OrganizationId,
    id: UserId,
    email: String,
}

impl LinkUser {
    fn read(row: &Row<'_>) -> store::Result<Self> {
        Ok(Self {
            organization: row.id("organization_id")?,
            id: row.id("id")?,
            email: row.get("email")?,
        })
    }
}

impl NewLink<'_> {
    /// Makes a link for the user with this address, and records it in the audit log.
    ///
    /// # Errors
    /// 400 if no user has the address, or users of several organizations have it and none is named; the database's.
    pub async fn for_address(
        self,
        email: &str,
        organization: Option<&OrganizationId>,
    ) -> Result<MadeLink> {
        let mut connection = self.store.read().await?;
        let user = find(&mut connection, email, organization).await?;
        drop(connection);
        self.make(user).await
    }

    /// Makes a link for the first owner of the oldest organization; `None` without an organization.
    ///
    /// # Errors
    /// The database's.
    pub async fn for_first_owner(self) -> Result<Option<MadeLink>> {
        let statement = sql!(
            "SELECT organization_id, id, email FROM users WHERE role = $1 ORDER BY organization_id, id LIMIT 1",
            OrganizationRole::Owner.as_str()
        );
        let mut connection = self.store.read().await?;
        let owner = connection.fetch_optional(statement, LinkUser::read).await?;
        drop(connection);
        match owner {
            Some(owner) => self.make(owner).await.map(Some),
            None => Ok(None),
        }
    }

    async fn make(self, user: LinkUser) -> Result<MadeLink> {
        let mut transaction = self.store.begin().await?;
        let head = ChainHead::advance(&mut transaction, &user.organization).await?;
        // From here on the user cannot be deleted.
        let exists = sql!(
            "SELECT id FROM users WHERE organization_id = $1 AND id = $2",
            &user.organization,
            &user.id
        );
        let found = transaction.fetch_optional(exists, |_| Ok(())).await?;
        found.ok_or_else(|| unknown(&user.email, None))?;
        let token = self.insert(&mut transaction, &head, &user).await?;
        transaction.commit().await?;
        Ok(MadeLink {
            organization_id: user.organization,
            user_id: user.id,
            email: user.email,
            token,
        })
    }

    async fn insert(
        &self,
        transaction: &mut Transaction,
        head: &ChainHead,
        user: &LinkUser,
    ) -> Result<Secret> {
        let token = Secret::token(self.entropy);
        let (id, now): (SignInLinkId, _) = (self.ids.next(), self.clock.now());
        let expires_at = now.plus(LINK_LIFETIME_SECONDS);
        // An older link of the same kind was shown and not used.
        let older = sql!(
            "DELETE FROM sign_in_links WHERE organization_id = $1 AND user_id = $2 AND origin = $3",
            &user.organization,
            &user.id,
            self.origin.as_str()
        );
        transaction.execute(older).await?;
        let insert = sql!(
            INSERT,
            &user.organization,
            &id,
            &user.id,
            self.pepper.hash_secret(&token),
            self.origin.as_str(),
            now,
            expires_at
        );
        transaction.execute(insert).await?;
        let entry = AuditEntry {
            id: self.ids.next(),
            organization_id: user.organization.clone(),
            effective_at: now,
            project: head.default_project.clone(),
            actor: Actor::default(),
            event: created(&id, &user.id, self.origin, expires_at),
        };
        append(transaction, head, entry).await?;
        Ok(token)
    }
}

/// Finds the only user with the address.
async fn find(
    connection: &mut Connection,
    email: &str,
    organization: Option<&OrganizationId>,
) -> Result<LinkUser> {
    let mut users = sql!(
        "SELECT organization_id, id, email FROM users WHERE email_key = $1",
        email_key(email)
    );
    if let Some(organization) = organization {
        users.push(" AND organization_id = ").bind(organization);
    }
    users.push(" ORDER BY organization_id");
    let mut found = connection.fetch_all(users, LinkUser::read).await?;
    if found.len() > 1 {
        let organizations: Vec<_> = found.iter().map(|one| one.organization.as_str()).collect();
        let message = format!(
            "'{email}' is a user of several organizations: say which, {}.",
            organizations.join(" or ")
        );
        return Err(Error::invalid("organization", message));
    }
    found.pop().ok_or_else(|| unknown(email, organization))
}

fn unknown(email: &str, organization: Option<&OrganizationId>) -> Error {
    let place = organization.map_or(String::new(), |id| format!(" in the organization '{id}'"));
    let message = format!("No user has the address '{email}'{place}.");
    Error::invalid("email", message)
}
