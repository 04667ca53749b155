//! Lists of permissions as clients write them: in their order, and with names that only the hosted service has.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use super::hosted::HOSTED;
use super::{Permission, PermissionSet};
use crate::inline_schema;

/// The name of a permission, either of this program or of the hosted service only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PermissionName(&'static str);

impl PermissionName {
    /// Iterates over every name: those of the catalogue in its order, then those of the hosted service.
    pub fn all() -> impl Iterator<Item = Self> {
        let ours = Permission::ALL.iter().map(|permission| permission.as_str());
        ours.chain(HOSTED.iter().copied()).map(Self)
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

    /// Returns the permission; `None` if only the hosted service has it.
    #[must_use]
    pub fn permission(self) -> Option<Permission> {
        Permission::parse(self.0)
    }
}

impl<'de> Deserialize<'de> for PermissionName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::parse(&name).ok_or_else(|| {
            let shown: String = name.chars().take(80).collect();
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

    /// Returns the permissions of this program that the list contains.
    #[must_use]
    pub fn set(&self) -> PermissionSet {
        self.0.iter().filter_map(|name| name.permission()).collect()
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
    fn names_of_the_hosted_service_are_unique_and_not_ours() {
        for (place, name) in HOSTED.iter().enumerate() {
            assert_eq!(Permission::parse(name), None, "{name}");
            assert!(!HOSTED[..place].contains(name), "{name} is there twice");
        }
        assert!(HOSTED.is_sorted());
    }
}
