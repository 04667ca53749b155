//! The caller of a request: an API key, its project, and the settings that apply there.

use std::sync::Arc;

use access::{Key, KeyHashes, Project, ScopeSettings, Settings};
use base::ids::Id;
use base::{Budget, BudgetPermit, Error, Exhausted, NanoDollars, Permission, Result, UnixTime};
use usage::SpendRequest;

#[cfg(test)]
pub(crate) mod tests;

const PROJECT_KEY_REQUIRED: &str = "An admin API key cannot call models. Use a project API key: of a user (sk-proj-…) or of a service account \
                                    (sk-svcacct-…).";

/// A valid API key of a project, with the settings that apply to its requests.
pub(crate) struct Caller {
    /// Hashes under which the directory finds the key.
    pub(crate) hashes: KeyHashes,
    pub(crate) key: Arc<Key>,
    pub(crate) project: Arc<Project>,
    /// Settings of the organization and of each of its projects.
    pub(crate) settings: Arc<Settings>,
    /// Settings of the project.
    pub(crate) level: Arc<ScopeSettings>,
}

impl Caller {
    /// Returns the caller with a key of an organization that has these settings.
    ///
    /// # Errors
    /// 403: the key is an admin key.
    pub(crate) fn new(hashes: KeyHashes, key: Arc<Key>, settings: Arc<Settings>) -> Result<Self> {
        let code = "project_key_required";
        let refusal = || Error::forbidden(code, PROJECT_KEY_REQUIRED);
        let project = key.project.clone().ok_or_else(refusal)?;
        Ok(Self {
            hashes,
            level: Arc::clone(settings.project(&project.id)),
            key,
            project,
            settings,
        })
    }

    /// Checks that the key has a permission.
    ///
    /// # Errors
    /// 403: names the missing scope.
    pub(crate) fn require(&self, permission: Permission) -> Result<()> {
        if self.key.permissions.contains(permission) {
            return Ok(());
        }
        Err(Error::missing_scope(permission.as_asked_for().as_str()))
    }

    /// True if the organization or the project has a spend limit.
    pub(crate) fn has_spend_limit(&self) -> bool {
        let of_organization = self.settings.organization.spend_limit;
        of_organization.or(self.level.spend_limit).is_some()
    }

    /// Returns a request to reserve an amount within the spend limits of the organization and the project.
    pub(crate) fn spend_request(&self, at: UnixTime, amount: NanoDollars) -> SpendRequest<'_> {
        SpendRequest {
            organization: (
                &self.key.organization.id,
                self.settings.organization.spend_limit,
            ),
            project: (&self.project.id, self.level.spend_limit),
            at,
            max_cost: amount,
        }
    }

    /// Takes an amount of a budget in the name of the key and the project.
    ///
    /// # Errors
    /// The budget, or the share of the key or the project, is exhausted.
    pub(crate) fn charge(&self, budget: &Budget, amount: u64) -> Result<BudgetPermit, Exhausted> {
        let project = self.project.id.as_str();
        budget.take(self.key.id.as_str(), Some(project), amount)
    }
}
