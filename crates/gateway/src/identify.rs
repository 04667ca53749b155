//! Whose request it is, and whether they may make it.

use std::sync::Arc;

use access::{Key, KeyHashes, Project, ScopeSettings, Settings};
use base::ids::Id;
use base::secret::bearer;
use base::{Error, Permission, Result};
use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::Shared;

const PROJECT_KEY_REQUIRED: &str = "An admin API key cannot call models. Use a project API key: of a user (sk-proj-…) or of a service account \
                                    (sk-svcacct-…).";

/// A key that may be used now, and where.
pub(crate) struct Caller {
    /// The hashes that the key is found by.
    pub(crate) hashes: KeyHashes,
    pub(crate) key: Arc<Key>,
    pub(crate) project: Arc<Project>,
    /// What is set where the key belongs.
    pub(crate) settings: Arc<Settings>,
    /// What is set for the project.
    level: Arc<ScopeSettings>,
}

impl Shared {
    /// The key of a request. One that is not known here may have been made by another node a moment ago, so the database is
    /// asked before it is refused.
    ///
    /// # Errors
    /// 401: no key, or none that is good now, or a header names another organization or project. 403: an admin key. 503: what
    /// is known of keys is too old, or a key is not known here and the database does not answer.
    pub(crate) async fn identify(&self, headers: &HeaderMap) -> Result<Caller> {
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
            // In a box, so that requests with a key that is known carry none of this.
            None => Box::pin(self.directory.look_up(&hashes)).await?,
            known => known,
        };
        let key = self.live(known)?;
        names_only(headers, "openai-organization", &key.organization.id)?;
        let caller = self.caller_with(hashes, key)?;
        names_only(headers, "openai-project", &caller.project.id)?;
        Ok(caller)
    }

    /// The caller with the key of these hashes as it is now: a request that has waited for its body is not believed what was
    /// true before.
    ///
    /// # Errors
    /// Those of [`Self::identify`].
    pub(crate) fn identify_again(&self, hashes: KeyHashes) -> Result<Caller> {
        self.directory.check_age()?;
        let key = self.live(self.directory.find_by(&hashes))?;
        self.caller_with(hashes, key)
    }

    /// The key, if there is one and it may be used now.
    fn live(&self, key: Option<Arc<Key>>) -> Result<Arc<Key>> {
        let key = key.ok_or_else(|| Error::unauthenticated("The API key is not known here."))?;
        key.alive(self.clock.now())?;
        Ok(key)
    }

    fn caller_with(&self, hashes: KeyHashes, key: Arc<Key>) -> Result<Caller> {
        let Some(project) = key.project.clone() else {
            return Err(Error::forbidden(
                "project_key_required",
                PROJECT_KEY_REQUIRED,
            ));
        };
        let settings = self.directory.settings(&key.organization.id);
        Ok(Caller {
            hashes,
            level: Arc::clone(settings.project(&project.id)),
            key,
            project,
            settings,
        })
    }
}

impl Caller {
    /// What is set for the project.
    pub(crate) fn level(&self) -> &ScopeSettings {
        &self.level
    }

    /// Refuses what the key's owner, or the key's scopes, do not allow.
    ///
    /// # Errors
    /// 403: names the scope that is missing.
    pub(crate) fn require(&self, permission: Permission) -> Result<()> {
        if self.key.permissions.contains(permission) {
            return Ok(());
        }
        let scope = permission.as_str();
        Err(Error::forbidden(
            "insufficient_permissions",
            format!(
                "This API key lacks the scope {scope}. It must be among the key's scopes, if it has any, and its \
                 owner's roles must allow it."
            ),
        ))
    }
}

/// A header may name what the key belongs to anyway, and nothing else.
fn names_only(headers: &HeaderMap, header: &str, own: &impl Id) -> Result<()> {
    let own = own.as_str().as_bytes();
    let mut named = headers.get_all(header).iter();
    if named.all(|value| value.is_empty() || value.as_bytes() == own) {
        return Ok(());
    }
    let message = format!("The {header} header names another one than the API key belongs to.");
    Err(Error::unauthenticated(message))
}
