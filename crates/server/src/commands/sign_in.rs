//! `orgplane sign-in`: links that sign a user in, made on the server's machine.

use admin::credentials::links::{LinkOrigin, MadeLink, NewLink, link_url};
use base::ids::{Id, OrganizationId};
use clap::Subcommand;

use super::deployment::Deployment;
use super::output::print;
use crate::config::{Config, Overrides};
use crate::first_start as founding;

/// Sign-in of users in browsers.
#[derive(Subcommand)]
pub(super) enum SignIn {
    /// Prints a link that signs a user in once, within 15 minutes; for when there is no other way in.
    ///
    /// Must run on a machine that can reach the database. Whoever opens the link has the permissions of the user, so that
    /// an owner without an admin key that works can make one. The making of the link and the sign-in are in the audit log.
    Link {
        /// E-mail address of the user.
        #[arg(long, value_parser = founding::email_address)]
        email: String,
        /// Id of the organization; required if the address belongs to users of several.
        #[arg(long, value_name = "ID")]
        organization: Option<String>,
        #[command(flatten)]
        overrides: Overrides,
    },
}

pub(super) async fn run(command: SignIn) -> anyhow::Result<()> {
    let SignIn::Link {
        email,
        organization,
        overrides,
    } = command;
    let config = Config::load(&overrides)?;
    let deployment = Deployment::open(&config).await?;
    let organization = organization.map(OrganizationId::from_text);
    let made = deployment
        .new_link(LinkOrigin::Command)
        .for_address(&email, organization.as_ref())
        .await;
    // The HTTP status of the error is meaningless here.
    let made = made.map_err(|error| anyhow::Error::msg(error.message))?;
    print(&shown(&made, &config.public_url))
}

/// Returns the lines that show a link.
pub(super) fn shown(made: &MadeLink, public_url: &str) -> String {
    format!(
        "Sign-in link: {}\nThe link signs in {} ({}) of organization {} once, within 15 minutes.\n",
        link_url(public_url, &made.token).as_str(),
        made.email,
        made.user_id,
        made.organization_id
    )
}

impl Deployment {
    /// Returns the parts of a new link.
    pub(super) fn new_link(&self, origin: LinkOrigin) -> NewLink<'_> {
        let Self {
            store,
            pepper,
            clock,
            entropy,
            ids,
        } = self;
        NewLink {
            store,
            pepper,
            ids,
            clock,
            entropy,
            origin,
        }
    }
}
