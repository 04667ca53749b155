//! Rights of the visitor: permissions in the organization, and in the project of the page.

use admin::operation::{Caller, Operation};
use base::ids::{ProjectId, parse_path_id};
use base::{Error, PermissionSet};
use store::Store;

/// Permissions of the visitor.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rights {
    organization: PermissionSet,
    project: PermissionSet,
}

impl Rights {
    /// Reads the permissions in the organization, and in the project that the page is about.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn read(
        store: &Store,
        caller: &Caller,
        project: Option<&str>,
    ) -> Result<Self, Error> {
        let organization = caller.permissions;
        let Some(project) = project.and_then(|id| parse_path_id::<ProjectId>(id).ok()) else {
            return Ok(Self {
                organization,
                project: PermissionSet::default(),
            });
        };
        let mut connection = store.read().await?;
        let own = access::permissions(
            &mut connection,
            &caller.organization.id,
            (&caller.owner).into(),
            Some(&project),
        );
        let project = own.await?.intersection(caller.scopes);
        Ok(Self {
            organization,
            project,
        })
    }

    /// Returns the name of the permission that an operation needs and the visitor lacks; `None` if nothing is missing.
    pub(crate) fn missing(self, operation: &Operation) -> Option<&'static str> {
        let needs = operation.needs?;
        let is_in_project = operation.path.contains("{project_id}");
        let has =
            self.organization.contains(needs) || is_in_project && self.project.contains(needs);
        (!has).then(|| needs.as_str())
    }
}
