//! Descriptors of keys of all projects, and of the visitor's own keys.

use base::time::SECONDS_PER_DAY;
use pages::Link;
use serde_json::Value as Json;

use super::projects::{ACCESS_WORDS, key_owner};
use crate::cell::{Cell, text_of};
use crate::resource::ColumnForm::{Badge, Computed, Date, Expiry, NameWith, Since};
use crate::resource::{Action, Resource, View, column};

/// Returns the name of a key, which leads to its page in the project.
fn key_name(key: &Json) -> Cell {
    let (project, id) = (text_of(&key["project"]["id"]), text_of(&key["id"]));
    let page = Link::new(["console", "projects", &project, "api_keys", &id]);
    Cell::Link {
        text: text_of(&key["name"]),
        target: page.to_string(),
        second: text_of(&key["redacted_value"]),
    }
}

/// Returns the project of a key, which leads to the page of the project.
fn key_project(key: &Json) -> Cell {
    let project = &key["project"];
    let page = Link::new(["console", "projects", &text_of(&project["id"])]);
    Cell::Link {
        text: text_of(&project["name"]),
        target: page.to_string(),
        second: String::new(),
    }
}

/// Resources with keys of several projects.
pub(super) const RESOURCES: &[Resource] = &[
    Resource {
        path: "/organization/api_keys",
        item: "/organization/api_keys/{api_key_id}",
        title: "API keys",
        singular: "API key",
        about: "Keys of all projects. A new key is created in its project.",
        columns: &[
            column("Name", "/name", Computed(key_name)),
            column("Project", "/project", Computed(key_project)),
            column("Owner", "/owner", Computed(key_owner)),
            column("State", "/owner_project_access", Badge(ACCESS_WORDS)),
            column("Last used", "/last_used_at", Since),
            column("Expires", "/expires_at", Expiry),
            column("Created", "/created_at", Date),
        ],
        views: &[
            View {
                label: "Expire within 30 days",
                parameter: "expires_before",
                seconds: 30 * SECONDS_PER_DAY,
            },
            View {
                label: "Unused for 90 days",
                parameter: "unused_since",
                seconds: -90 * SECONDS_PER_DAY,
            },
        ],
        empty: "No project has a key.",
        ..Resource::EMPTY
    },
    Resource {
        path: "/organization/me/api_keys",
        item: "/organization/me/api_keys/{api_key_id}",
        title: "My API keys",
        singular: "API key",
        about: "Your keys for calling models. A key can do what you may do in its project, and stops when you leave.",
        columns: &[
            column("Name", "/name", NameWith("/redacted_value")),
            column("Project", "/project", Computed(key_project)),
            column("State", "/owner_project_access", Badge(ACCESS_WORDS)),
            column("Last used", "/last_used_at", Since),
            column("Expires", "/expires_at", Expiry),
            column("Created", "/created_at", Date),
        ],
        actions: &[Action {
            path: "/organization/me/api_keys/{api_key_id}/rotate",
            verb: "Rotate",
            about: "A new key with the same name and permissions takes the place of this one.",
            secret: "/value",
            ..Action::EMPTY
        }],
        consequences: &["The key is refused within a second. What uses it stops working."],
        secret: "/value",
        empty: "Create a key to call models through the gateway.",
        ..Resource::EMPTY
    },
];
