//! `orgplane org`: organizations, and the way back into one whose admin keys are lost.

use access::Owner;
use admin::organization::owner_key::{self, NewOwnerKey};
use base::ids::{Id, OrganizationId};
use base::name::Name;
use clap::Subcommand;

use super::{Deployment, print};
use crate::config::{Config, Overrides};
use crate::first_start as founding;

/// Organizations.
#[derive(Subcommand)]
pub(super) enum Org {
    /// Adds an organization and prints its first admin key, once.
    Create {
        /// The name of the organization.
        #[arg(long, value_parser = Name::new)]
        name: Name,
        /// The e-mail address of its first owner.
        #[arg(long, value_parser = founding::email_address)]
        owner_email: String,
        #[command(flatten)]
        overrides: Overrides,
    },
    /// Makes an admin key for an owner and prints it, once; for when all of them are lost, or an owner has none.
    ///
    /// Works on the machine of the database, also while a server runs: the server takes the key within a second. The
    /// key has no end, and the audit log has an event of it.
    Key {
        /// The e-mail address of the owner.
        #[arg(long, value_parser = founding::email_address)]
        email: String,
        /// The id of the organization; needed only where the address is that of users in several.
        #[arg(long, value_name = "ID")]
        organization: Option<String>,
        /// The name of the key.
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
    // The status of an answer means nothing here.
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
