//! Lists of permissions as clients write them: in their order, and with names that only the hosted service has.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use super::hosted::HOSTED;
use super::other_names::{OTHER_NAMES, OtherName};
use super::{Permission, PermissionSet};
use crate::inline_schema;

/// The name of a permission, either of this program or of the hosted service only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PermissionName(&'static str);

impl PermissionName {
    /// Iterates over every name: those of the catalogue in its order, then other names for them, then those that allow nothing.
    pub fn all() -> impl Iterator<Item = Self> {
        let ours = Permission::ALL.iter().map(|permission| permission.as_str());
        let others = OTHER_NAMES.iter().map(|(name, _)| *name);
        ours.chain(others).chain(HOSTED.iter().copied()).map(Self)
    }

    /// Returns the name if it is a known permission's.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::all().find(|known| known.0 == name)
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.0
    }

    /// Returns the permissions that the name includes; none if only the hosted service has it.
    #[must_use]
    pub fn permissions(self) -> PermissionSet {
        let of_catalogue = Permission::parse(self.0).map(Permission::with_included);
        of_catalogue
            .or_else(|| OtherName::parse(self.0).map(OtherName::permissions))
            .unwrap_or_default()
    }
}

impl<'de> Deserialize<'de> for PermissionName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::parse(&name).ok_or_else(|| {
            let shown = crate::shown(&name);
            D::Error::custom(format_args!(
                "'{shown}' is no permission; docs/permissions.md lists them"
            ))
        })
    }
}

impl JsonSchema for PermissionName {
    fn schema_name() -> Cow<'static, str> {
        "Permission".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names: Vec<_> = Self::all().map(Self::as_str).collect();
        json_schema!({ "type": "string", "enum": names, "description": "One of `docs/permissions.md`." })
    }
}

/// Names of permissions in the order in which they were given, without duplicates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PermissionList(Vec<PermissionName>);

impl PermissionList {
    /// Parses a JSON array of names, as tables have it. Unknown names are skipped.
    #[must_use]
    pub fn from_json(json: &str) -> Self {
        let names: Vec<String> = serde_json::from_str(json).unwrap_or_default();
        names
            .iter()
            .filter_map(|name| PermissionName::parse(name))
            .collect()
    }

    /// Returns the names as a JSON array, as tables have it.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::Value::from_iter(self.names()).to_string()
    }

    /// Iterates over the names.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|name| name.as_str())
    }

    /// Returns the permissions that the names include.
    #[must_use]
    pub fn set(&self) -> PermissionSet {
        let sets = self.0.iter().map(|name| name.permissions());
        sets.fold(PermissionSet::default(), PermissionSet::union)
    }

    /// Returns the permissions that the names include in a project. `api.all.read` includes only those that a project can grant.
    #[must_use]
    pub fn set_in_project(&self) -> PermissionSet {
        let sets = self.0.iter().map(|name| match OtherName::parse(name.0) {
            Some(OtherName::EveryRead) => name.permissions().in_project(),
            _ => name.permissions(),
        });
        sets.fold(PermissionSet::default(), PermissionSet::union)
    }

    /// Returns the names that are not in `other`, in their order.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        let names = self.0.iter().copied();
        names.filter(|name| !other.0.contains(name)).collect()
    }
}

impl FromIterator<PermissionName> for PermissionList {
    fn from_iter<I: IntoIterator<Item = PermissionName>>(names: I) -> Self {
        let mut list = Vec::new();
        for name in names {
            if !list.contains(&name) {
                list.push(name);
            }
        }
        Self(list)
    }
}

impl From<PermissionSet> for PermissionList {
    fn from(set: PermissionSet) -> Self {
        set.iter()
            .map(|permission| PermissionName(permission.as_str()))
            .collect()
    }
}

impl<'de> Deserialize<'de> for PermissionList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self::from_iter::<Vec<PermissionName>>)
    }
}

inline_schema!(PermissionList, "Permissions", |generator| json_schema!({
    "type": "array", "items": generator.subschema_for::<PermissionName>(),
}));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_keeps_its_order_and_the_names_of_the_hosted_service() {
        let json = r#"["api.model.read","api.webhooks.read","api.groups.read","api.model.read"]"#;
        let list: PermissionList = serde_json::from_str(json).expect("names");
        let once = r#"["api.model.read","api.webhooks.read","api.groups.read"]"#;
        assert_eq!(serde_json::to_string(&list).expect("names"), once);
        assert_eq!(list.to_json(), once);
        assert_eq!(PermissionList::from_json(once), list);
        let allowed = [Permission::ModelRead, Permission::GroupsRead];
        assert_eq!(list.set(), allowed.into_iter().collect());
        let rest = list.without(&PermissionList::from_json(r#"["api.model.read"]"#));
        assert!(
            rest.names()
                .eq(["api.webhooks.read", "api.groups.read"].into_iter())
        );
        assert!(serde_json::from_str::<PermissionList>(r#"["api.unheard.of"]"#).is_err());
        let left = PermissionList::from_json(r#"["api.unheard.of","model.read"]"#);
        assert_eq!(left.to_json(), r#"["model.read"]"#);
    }

    #[test]
    fn other_names_include_what_they_mean() {
        let set = |json: &str| PermissionList::from_json(json).set();
        for (other, name) in [
            ("api.batch.read", "api.batches.read"),
            ("api.batch.write", "api.batches.write"),
            ("api.usage.read", "api.organization.usage.read"),
            ("model.read", "api.model.read"),
            ("model.request", "api.model.request"),
        ] {
            let [other, name] = [other, name].map(|name| set(&format!(r#"["{name}"]"#)));
            assert_eq!(other, name);
        }
        let list = PermissionList::from_json(r#"["api.all.read"]"#);
        assert_eq!(list.to_json(), r#"["api.all.read"]"#, "kept as it came");
        for permission in Permission::ALL {
            let is_read = permission.as_str().ends_with(".read");
            assert_eq!(list.set().contains(*permission), is_read);
            let is_in_project = is_read && permission.is_for_projects();
            assert_eq!(list.set_in_project().contains(*permission), is_in_project);
        }
    }

    #[test]
    fn names_of_the_hosted_service_are_unique_and_not_ours() {
        let names: Vec<_> = PermissionName::all().map(PermissionName::as_str).collect();
        for (place, name) in names.iter().enumerate() {
            assert!(!names[..place].contains(name), "{name} is there twice");
        }
        assert!(HOSTED.is_sorted());
        assert!(OTHER_NAMES.is_sorted_by_key(|(name, _)| *name));
        let no_permission = |name: &&str| {
            PermissionName::parse(name)
                .is_some_and(|it| it.permissions() == PermissionSet::default())
        };
        assert!(HOSTED.iter().all(no_permission));
        assert!(!OTHER_NAMES.iter().any(|(name, _)| no_permission(name)));
    }
}
