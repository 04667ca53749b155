//! Other names of permissions, which roles and keys may have as well.

use super::{Permission, PermissionSet};

/// The meaning of another name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherName {
    /// The name means the same as this permission.
    Synonym(Permission),
    /// The name includes every permission that reads.
    EveryRead,
}

/// Other names that roles and keys may have, from the hosted service's documents, clients and errors, each with its meaning.
pub const OTHER_NAMES: &[(&str, OtherName)] = &[
    ("api.all.read", OtherName::EveryRead),
    (
        "api.batch.read",
        OtherName::Synonym(Permission::BatchesRead),
    ),
    (
        "api.batch.write",
        OtherName::Synonym(Permission::BatchesWrite),
    ),
    ("api.usage.read", OtherName::Synonym(Permission::UsageRead)),
    ("model.read", OtherName::Synonym(Permission::ModelRead)),
    (
        "model.request",
        OtherName::Synonym(Permission::ModelRequest),
    ),
];

impl OtherName {
    /// Returns the meaning of `name`; `None` if `name` is none of [`OTHER_NAMES`].
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let mut names = OTHER_NAMES.iter();
        names
            .find(|(other, _)| *other == name)
            .map(|(_, meaning)| *meaning)
    }

    /// Returns the permissions that the name includes.
    #[must_use]
    pub fn permissions(self) -> PermissionSet {
        match self {
            Self::Synonym(permission) => permission.with_included(),
            Self::EveryRead => {
                let all = Permission::ALL.iter().copied();
                all.filter(|permission| permission.is_read()).collect()
            }
        }
    }
}
