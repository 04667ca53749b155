//! An existing deployment, as commands open it.

use std::path::Path;
use std::sync::Arc;

use admin::organization;
use anyhow::Context;
use base::ids::IdGenerator;
use base::secret::Pepper;
use base::{Clock, Entropy};
use store::Store;

use crate::config::Config;
use crate::first_start::FirstStart;
use crate::secret_file;

pub(super) async fn open(config: &Config) -> anyhow::Result<Store> {
    Store::open_with(&config.database, config.database_connections)
        .await
        .context("the database")
}

/// Database, secret, clock, entropy and ids of an existing deployment.
pub(super) struct Deployment {
    pub(super) store: Store,
    pub(super) pepper: Pepper,
    pub(super) clock: Clock,
    pub(super) entropy: Entropy,
    pub(super) ids: Arc<IdGenerator>,
}

impl Deployment {
    pub(super) async fn open(config: &Config) -> anyhow::Result<Self> {
        let store = open(config).await?;
        let entropy = Entropy::operating_system();
        let is_new = !organization::exists(&store).await?;
        let secret_file = Path::new(&config.secret_file);
        let pepper = secret_file::read_or_create(secret_file, &entropy, is_new)?;
        secret_file::check(secret_file, &pepper, &store).await?;
        let clock = Clock::system();
        let ids = Arc::new(IdGenerator::new(clock.clone(), entropy.clone()));
        Ok(Self {
            store,
            pepper,
            clock,
            entropy,
            ids,
        })
    }

    pub(super) fn founding(&self, chosen_key: Option<String>) -> FirstStart<'_> {
        let Self {
            store,
            pepper,
            clock,
            entropy,
            ids,
        } = self;
        FirstStart {
            store,
            pepper,
            ids,
            clock,
            entropy,
            chosen_key,
        }
    }
}
