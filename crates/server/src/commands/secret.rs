//! `orgplane secret`: rotation of the secret that keys are hashed with.

use clap::Subcommand;

use super::deployment::Deployment;
use super::output::print;
use crate::config::{Config, Overrides};
use crate::secret_file;

#[derive(Subcommand)]
pub(super) enum Secret {
    /// Puts a new secret into the secret file and keeps the previous one beside it.
    ///
    /// Every node needs the new file and a restart. API keys are rehashed with the new secret when they are used; mails and
    /// stored bodies stay readable.
    Rotate {
        /// Remove the previous secret. API keys that were not used since the rotation become invalid.
        #[arg(long)]
        finish: bool,
        #[command(flatten)]
        overrides: Overrides,
    },
}

pub(super) async fn run(command: Secret) -> anyhow::Result<()> {
    let Secret::Rotate { finish, overrides } = command;
    let config = Config::load(&overrides)?;
    // Fails if the file does not belong to the database.
    let deployment = Deployment::open(&config).await?;
    let (file, entropy) = (&config.secret_file, &deployment.entropy);
    if finish {
        secret_file::finish_rotation(file, entropy)?;
        return print(&format!(
            "Removed the previous secret from {}. Copy the file to every node and restart them.\n",
            file.display()
        ));
    }
    secret_file::rotate(file, entropy)?;
    print(&format!(
        "Added a new secret to {}. Copy the file to every node and restart them.\n\
         When every needed API key has been used, run `orgplane secret rotate --finish`.\n",
        file.display()
    ))
}
