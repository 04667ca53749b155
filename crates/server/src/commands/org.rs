//! `orgplane org`: creates organizations and recovers lost admin keys.

use access::Owner;
use admin::organization::owner_key::{self, NewOwnerKey};
use base::ids::{Id, OrganizationId};
use base::name::Name;
use clap::Subcommand;

use super::deployment::Deployment;
use super::output::print;
use crate::config::{Config, Overrides};
use crate::first_start as founding;

/// Organizations.
#[derive(Subcommand)]
pub(super) enum Org {
    /// Creates an organization and prints its first admin key, once.
    Create {
        /// Name of the organization.
        #[arg(long, value_parser = Name::new)]
        name: Name,
        /// E-mail address of its first owner.
        #[arg(long, value_parser = founding::email_address)]
        owner_email: String,
        #[command(flatten)]
        overrides: Overrides,
    },
    /// Creates an admin key for an owner and prints it, once; for lost admin keys.
    ///
    /// Must run on a machine that can reach the database. A running server accepts the key within a second. The key
    /// does not expire, and its creation is in the audit log.
    Key {
        /// E-mail address of the owner.
        #[arg(long, value_parser = founding::email_address)]
        email: String,
        /// Id of the organization; required if the address belongs to users of several.
        #[arg(long, value_name = "ID")]
        organization: Option<String>,
        /// Name of the key.
        #[arg(long, value_parser = Name::new, default_value = "orgplane org key")]
        name: Name,
        #[command(flatten)]
        overrides: Overrides,
    },
}

pub(super) async fn run(command: Org) -> anyhow::Result<()> {
    match command {
        Org::Create {
            name,
            owner_email,
            overrides,
        } => create(&Config::load(&overrides)?, &name, &owner_email).await,
        Org::Key {
            email,
            organization,
            name,
            overrides,
        } => {
            let organization = organization.map(OrganizationId::from_text);
            key(&Config::load(&overrides)?, &email, organization, &name).await
        }
    }
}

async fn create(config: &Config, name: &Name, owner_email: &str) -> anyhow::Result<()> {
    let deployment = Deployment::open(config).await?;
    let founded = founding::create(deployment.founding(None), name, owner_email).await?;
    print(&format!(
        "Organization {} with project {}, owned by {owner_email}.\nAdmin key (shown only now): {}\n",
        founded.organization_id,
        founded.project_id,
        founded.key.reveal()
    ))
}

async fn key(
    config: &Config,
    email: &str,
    organization: Option<OrganizationId>,
    name: &Name,
) -> anyhow::Result<()> {
    let deployment = Deployment::open(config).await?;
    let made = owner_key::issue(NewOwnerKey {
        store: &deployment.store,
        pepper: &deployment.pepper,
        ids: &deployment.ids,
        clock: &deployment.clock,
        entropy: &deployment.entropy,
        organization: organization.as_ref(),
        email,
        name,
    });
    // The HTTP status of the error is meaningless here.
    let made = made
        .await
        .map_err(|error| anyhow::Error::msg(error.message))?;
    let owner = match &made.owner {
        Owner::User { id, email } => format!("{email} ({id})"),
        Owner::ServiceAccount { id } => id.to_string(),
    };
    print(&format!(
        "Admin key {} of {owner} in organization {}.\nAdmin key (shown only now): {}\n",
        made.id,
        made.organization_id,
        made.key.reveal()
    ))
}
