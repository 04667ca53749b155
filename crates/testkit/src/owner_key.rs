//! Admin keys of further owners, created like `orgplane org key` does: the API creates keys for its caller only.

use admin::organization::owner_key::{self, NewOwnerKey};
use base::Result;
use base::name::Name;

use crate::{Client, Server};

impl Server {
    /// Returns a client with a new admin key of the owner with this address.
    ///
    /// # Panics
    /// No user has the address, or the user is not an owner.
    pub async fn owner_key(&self, email: &str) -> Client {
        let made = self.try_owner_key(email).await;
        made.expect("an owner with this address")
    }

    /// Creates an admin key like [`Self::owner_key`].
    ///
    /// # Errors
    /// No user has the address, or the user is not an owner.
    pub async fn try_owner_key(&self, email: &str) -> Result<Client> {
        let services = self.app.services();
        let name = Name::new("Made on the machine").expect("a name");
        let made = owner_key::issue(NewOwnerKey {
            store: &services.store,
            pepper: &services.pepper,
            ids: &services.ids,
            clock: &services.clock,
            entropy: &services.entropy,
            organization: Some(self.organization_id()),
            email,
            name: &name,
        });
        let made = made.await?;
        services.store.revision().wait_applied().await;
        Ok(self.with_key(&made.key.reveal()))
    }
}
