//! Credentials of users who sign in: passwords, links, and accounts at identity providers. Has no URL.

pub mod attempts;
pub mod identities;
pub mod links;
pub mod passwords;
pub mod provider_sign_in;

use std::sync::Arc;

use base::Result;
use base::email::email_key;
use base::ids::{OrganizationId, UserId};
use base::permission::OrganizationRole;
use store::{Row, sql};

use crate::Services;

/// The most organizations in which an address signs in.
pub const MAX_ACCOUNTS: usize = 8;

/// A user with an e-mail address, in one of the organizations of this deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Organization of the user.
    pub organization_id: OrganizationId,
    /// Name of the organization.
    pub organization_name: String,
    /// Id of the user.
    pub user_id: UserId,
    /// Name of the user.
    pub name: String,
    /// E-mail address, as it was written.
    pub email: String,
    /// Role in the organization.
    pub role: OrganizationRole,
    /// Hash of the password in the PHC string format, if the user has a password.
    pub password: Option<String>,
}

/// The limit is [`MAX_ACCOUNTS`].
const ACCOUNTS: &str = "\
    SELECT u.organization_id, o.name AS organization_name, u.id, u.name, u.email, u.role, p.hash AS password \
    FROM users u JOIN organizations o ON o.id = u.organization_id \
    LEFT JOIN passwords p ON p.organization_id = u.organization_id AND p.user_id = u.id \
    WHERE u.email_key = $1 ORDER BY u.organization_id LIMIT 8";

impl Account {
    fn read(row: &Row<'_>) -> store::Result<Self> {
        Ok(Self {
            organization_id: row.id("organization_id")?,
            organization_name: row.get("organization_name")?,
            user_id: row.id("id")?,
            name: row.get("name")?,
            email: row.get("email")?,
            role: row.word("role", OrganizationRole::parse)?,
            password: row.get("password")?,
        })
    }
}

/// Returns the users with this e-mail address, in any case, of the oldest organizations first.
///
/// # Errors
/// The database's.
pub async fn accounts(services: &Arc<Services>, email: &str) -> Result<Vec<Account>> {
    let statement = sql!(ACCOUNTS, email_key(email));
    let mut connection = services.store.read().await?;
    Ok(connection.fetch_all(statement, Account::read).await?)
}

/// Returns true if a user of this deployment can sign in without a new link: somebody has a password or an account at an
/// identity provider.
///
/// # Errors
/// The database's.
pub async fn any(services: &Services) -> Result<bool> {
    let statement =
        sql!("SELECT user_id FROM passwords UNION ALL SELECT user_id FROM identities LIMIT 1");
    let mut connection = services.store.read().await?;
    Ok(connection
        .fetch_optional(statement, |_| Ok(()))
        .await?
        .is_some())
}
