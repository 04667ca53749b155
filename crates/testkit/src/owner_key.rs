//! Admin keys of further owners, made as `orgplane org key` makes them: the API makes one only for its caller.

use admin::organization::owner_key::{self, NewOwnerKey};
use base::Result;
use base::name::Name;

use crate::{Client, Server};

impl Server {
    /// Returns a client with a new admin key of the owner with this address.
    ///
    /// # Panics
    /// If no user has the address, or the user is no owner.
    pub async fn owner_key(&self, email: &str) -> Client {
        let made = self.try_owner_key(email).await;
        made.expect("an owner with this address")
    }

    /// Makes an admin key as [`Self::owner_key`] does.
    ///
    /// # Errors
    /// No user has the address, or the user is no owner.
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
