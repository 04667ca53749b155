//! Callers for unit tests, and tests of the permissions of callers.

use access::{Organization, Owner};
use base::PermissionSet;
use base::ids::{KeyId, OrganizationId, ProjectId, UserId};
use base::secret::{KeyKind, Pepper};
use http::HeaderValue;

use super::*;

/// Returns a caller without permissions whose project has these settings.
pub(crate) fn caller(project: ScopeSettings) -> Caller {
    let id = ProjectId::from_text("proj_1".to_owned());
    let key = Key {
        id: KeyId::from_text("key_1".to_owned()),
        kind: KeyKind::User,
        organization: Arc::new(Organization {
            id: OrganizationId::from_text("org-1".to_owned()),
            header: HeaderValue::from_static("org-1"),
        }),
        project: Some(Arc::new(Project {
            id,
            is_archived: false,
        })),
        owner: Owner::User {
            id: UserId::from_text("user-1".to_owned()),
            email: String::new(),
        },
        owner_exists: true,
        is_owners: false,
        scopes: PermissionSet::default(),
        permissions: PermissionSet::default(),
        expires_at: None,
    };
    let pepper = Pepper::generate(&base::Entropy::seeded(1));
    let hashes = KeyHashes::of(&pepper, "sk-proj-1");
    let mut caller = Caller::new(hashes, Arc::new(key), Arc::default()).expect("a project key");
    caller.level = Arc::new(project);
    caller
}

#[test]
fn a_missing_permission_is_named() {
    let error = caller(ScopeSettings::default()).require(Permission::ModelRequest);
    let error = error.expect_err("no permission");
    assert_eq!(error.status, 403);
    assert!(error.message.contains(Permission::ModelRequest.as_str()));
}
