//! Descriptors of the groups and projects of a member.

use pages::Link;
use serde_json::Value as Json;

use crate::cell::{Cell, text_of};
use crate::resource::ColumnForm::{Badge, Computed, Date};
use crate::resource::{Resource, column};

const ROLE_WORDS: &[(&str, &str, &str)] = &[("owner", "Owner", "accent"), ("member", "Member", "")];

/// Returns the name of an item with a link to its page, which lies elsewhere.
fn link_in(collection: &str, item: &Json) -> Cell {
    let page = Link::new(["console", collection, &text_of(&item["id"])]);
    Cell::Link {
        text: text_of(&item["name"]),
        target: page.to_string(),
        second: String::new(),
    }
}

/// Groups and projects of a member.
pub(super) const RESOURCES: &[Resource] = &[
    Resource {
        path: "/organization/users/{user_id}/projects",
        item: "/organization/users/{user_id}/projects/{project_id}",
        title: "Projects of the member",
        singular: "project",
        about: "Projects in which the person has a role, directly or through a group.",
        columns: &[
            column("Name", "/name", Computed(|item| link_in("projects", item))),
            column("Role of a member", "/role", Badge(ROLE_WORDS)),
            column("Since", "/added_at", Date),
        ],
        empty: "The person has a role in no project.",
        ..Resource::EMPTY
    },
    Resource {
        path: "/organization/users/{user_id}/groups",
        item: "/organization/users/{user_id}/groups/{group_id}",
        title: "Groups of the member",
        singular: "group",
        about: "Roles of a group are those of its members.",
        columns: &[column(
            "Name",
            "/name",
            Computed(|item| link_in("groups", item)),
        )],
        empty: "The person is in no group.",
        ..Resource::EMPTY
    },
];
