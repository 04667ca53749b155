//! Authentication: the API key and client certificate of a request.

use std::sync::Arc;

use access::{Directory, Key, KeyHashes};
use base::ids::Id;
use base::secret::{Pepper, bearer};
use base::{Clock, Error, Permission, Result};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;
use usage::LastUsed;

use crate::caller::Caller;

/// The stage that turns the key of a request into its [`Caller`].
pub(crate) struct Authenticator {
    pub(crate) directory: Arc<Directory>,
    pub(crate) pepper: Pepper,
    pub(crate) clock: Clock,
    pub(crate) last_used: LastUsed,
}

impl Authenticator {
    /// Finds the caller by the key in the headers. A key that is unknown here may have been created by another node a moment
    /// ago, so the database is queried before the key is refused.
    ///
    /// # Errors
    /// 401: no key, or none that is valid now, or a header names another organization or project. 403: an admin key. 503: the
    /// directory is too old, or the key is unknown here and the database does not respond.
    pub(crate) async fn authenticate(&self, headers: &HeaderMap) -> Result<Caller> {
        let Some(header) = headers.get(AUTHORIZATION) else {
            return Err(Error::unauthenticated(
                "No API key was sent. Send one in the header 'Authorization: Bearer sk-proj-…'.",
            ));
        };
        let token = bearer(Some(header)).ok_or_else(|| {
            Error::unauthenticated(
                "The Authorization header holds no API key. Its form is 'Bearer sk-proj-…'.",
            )
        })?;
        let hashes = KeyHashes::of(&self.pepper, token);
        self.directory.check_age()?;
        let known = match self.directory.find_by(&hashes) {
            // Boxed, so that the future of a request with a known key stays small.
            None => Box::pin(self.directory.look_up(&hashes)).await?,
            known => known,
        };
        let key = self.valid(known)?;
        names_only(headers, "openai-organization", &key.organization.id)?;
        let caller = self.caller(hashes, key)?;
        names_only(headers, "openai-project", &caller.project.id)?;
        Ok(caller)
    }

    /// Checks the client certificate and the permission that a request needs.
    ///
    /// # Errors
    /// 401: a client certificate is required, and none that is valid came. 403: the key lacks the permission.
    pub(crate) fn authorize(&self, caller: &Caller, head: &Parts, needs: Permission) -> Result<()> {
        caller.check_certificate(head, &self.clock)?;
        caller.require(needs)
    }

    /// Returns the caller as of now, once the body of its request has come: permissions and settings may have changed in the
    /// meantime.
    ///
    /// # Errors
    /// Those of [`Self::authenticate`] and [`Self::authorize`].
    pub(crate) fn authenticate_again(
        &self,
        before: &Caller,
        head: &Parts,
        needs: Permission,
    ) -> Result<Caller> {
        self.directory.check_age()?;
        let key = self.valid(self.directory.find_by(&before.hashes))?;
        let caller = self.caller(before.hashes, key)?;
        self.authorize(&caller, head, needs)?;
        Ok(caller)
    }

    /// Records that the key was used now.
    pub(crate) fn record_use(&self, caller: &Caller) {
        let key = &caller.key;
        let last_used = &self.last_used;
        last_used.touch(&key.organization.id, &key.id, key.user());
    }

    fn valid(&self, key: Option<Arc<Key>>) -> Result<Arc<Key>> {
        let key = key.ok_or_else(|| Error::unauthenticated("The API key is not known here."))?;
        key.alive(self.clock.now())?;
        Ok(key)
    }

    fn caller(&self, hashes: KeyHashes, key: Arc<Key>) -> Result<Caller> {
        let settings = self.directory.settings(&key.organization.id);
        Caller::new(hashes, key, settings)
    }
}

/// Checks that a header, if it came, names the organization or project that the key belongs to.
fn names_only(headers: &HeaderMap, header: &str, own: &impl Id) -> Result<()> {
    let own = own.as_str().as_bytes();
    let mut named = headers.get_all(header).iter();
    if named.all(|value| value.is_empty() || value.as_bytes() == own) {
        return Ok(());
    }
    let message = format!("The {header} header names another one than the API key belongs to.");
    Err(Error::unauthenticated(message))
}
