//! Descriptors of the resources of projects.

use serde_json::Value as Json;

use super::organization::{ALERT_COLUMNS, ASSIGNED_ROLE_COLUMNS, ROLE_COLUMNS, is_predefined_role};
use crate::cell::Cell;
use crate::resource::ColumnForm::{
    Badge, Computed, Date, Expiry, Flag, Name, NameWith, Number, Since, Text,
};
use crate::resource::{Action, Column, Extra, Resource, column};

const MEMBER_WORDS: &[(&str, &str, &str)] = &[
    ("owner", "Owner", "accent"),
    ("member", "Member", ""),
    ("viewer", "Viewer", ""),
    ("none", "No role", "warning"),
];
pub(super) const ACCESS_WORDS: &[(&str, &str, &str)] = &[
    ("active", "Active", "success"),
    ("inactive", "Owner has no access", "warning"),
];

fn is_active(item: &Json) -> bool {
    item["active"] == true
}

fn is_inactive(item: &Json) -> bool {
    item["active"] == false
}

/// Returns the owner of a key: a person, or a service account.
pub(super) fn key_owner(item: &Json) -> Cell {
    let owner = &item["owner"];
    let user = &owner["user"];
    let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    if user.is_object() {
        return Cell::Link {
            text: text(&user["name"]),
            target: String::new(),
            second: text(&user["email"]),
        };
    }
    Cell::Link {
        text: text(&owner["service_account"]["name"]),
        target: String::new(),
        second: "service account".to_owned(),
    }
}

const KEY_COLUMNS: &[Column] = &[
    column("Name", "/name", NameWith("/redacted_value")),
    column("Owner", "/owner", Computed(key_owner)),
    column("State", "/owner_project_access", Badge(ACCESS_WORDS)),
    column("Last used", "/last_used_at", Since),
    column("Expires", "/expires_at", Expiry),
    column("Created", "/created_at", Date),
];

/// Resources of projects.
pub(super) const RESOURCES: &[Resource] = &[
    Resource {
        path: "/organization/projects/{project_id}/users",
        item: "/organization/projects/{project_id}/users/{user_id}",
        title: "People",
        singular: "person",
        about: "People with a role in the project. Owners of the organization need none.",
        columns: &[
            column("Name", "/name", NameWith("/email")),
            column("Role", "/role", Badge(MEMBER_WORDS)),
            column("Added", "/added_at", Date),
        ],
        children: &["/projects/{project_id}/users/{user_id}/roles"],
        create_verb: "Add",
        delete_verb: "Remove",
        consequences: &[
            "Keys of the person in this project are refused within a second, unless a group still gives access.",
            "The person stays in the organization and in other projects.",
        ],
        empty: "Nobody has a role in the project yet.",
        ..Resource::EMPTY
    },
    Resource {
        path: "/projects/{project_id}/users/{user_id}/roles",
        item: "/projects/{project_id}/users/{user_id}/roles/{role_id}",
        title: "Roles in the project",
        singular: "role",
        about: "Own roles, and those that come with groups.",
        columns: ASSIGNED_ROLE_COLUMNS,
        create_verb: "Give",
        delete_verb: "Take away",
        consequences: &[
            "What only this role allows is refused within a second, also to keys of the person.",
        ],
        empty: "No role.",
        ..Resource::EMPTY
    },
    Resource {
        path: "/organization/projects/{project_id}/groups",
        item: "/organization/projects/{project_id}/groups/{group_id}",
        title: "Groups",
        singular: "group",
        about: "Everyone in a group here has its role in the project.",
        name: "/group_name",
        id: "/group_id",
        columns: &[
            column("Name", "/group_name", Name),
            column("Added", "/created_at", Date),
        ],
        children: &["/projects/{project_id}/groups/{group_id}/roles"],
        create_verb: "Add",
        delete_verb: "Remove",
        consequences: &[
            "What people may do here only as members of the group is refused within a second.",
        ],
        empty: "No group has a role in the project.",
        ..Resource::EMPTY
    },
    Resource {
        path: "/projects/{project_id}/groups/{group_id}/roles",
        item: "/projects/{project_id}/groups/{group_id}/roles/{role_id}",
        title: "Roles in the project",
        singular: "role",
        about: "Roles in the project, for everyone in the group.",
        columns: ASSIGNED_ROLE_COLUMNS,
        create_verb: "Give",
        delete_verb: "Take away",
        consequences: &[
            "What only this role allows is refused within a second to everyone in the group.",
        ],
        empty: "No role.",
        ..Resource::EMPTY
    },
    Resource {
        path: "/projects/{project_id}/roles",
        item: "/projects/{project_id}/roles/{role_id}",
        title: "Roles",
        singular: "role",
        about: "Roles that can be given in this project: the predefined ones, and the project's own.",
        columns: ROLE_COLUMNS,
        is_fixed: is_predefined_role,
        consequences: &[
            "Everyone who has the role here, alone or by a group, loses what only it allows, within a second.",
        ],
        empty: "No role.",
        extra: Extra::RolePermissions,
        ..Resource::EMPTY
    },
    Resource {
        path: "/organization/projects/{project_id}/api_keys",
        item: "/organization/projects/{project_id}/api_keys/{api_key_id}",
        title: "API keys",
        singular: "API key",
        about: "Keys for calling models. A key of a person can do what the person may do in this project.",
        columns: KEY_COLUMNS,
        actions: &[Action {
            path: "/organization/projects/{project_id}/api_keys/{api_key_id}/rotate",
            verb: "Rotate",
            about: "A new key with the same name, owner and permissions takes the place of this one.",
            secret: "/value",
            ..Action::EMPTY
        }],
        consequences: &["The key is refused within a second. What uses it stops working."],
        secret: "/value",
        empty: "Create a key to call models through the gateway.",
        ..Resource::EMPTY
    },
    Resource {
        path: "/organization/projects/{project_id}/service_accounts",
        item: "/organization/projects/{project_id}/service_accounts/{service_account_id}",
        title: "Service accounts",
        singular: "service account",
        about: "Accounts for programs. They belong to the project, so their keys stay when people leave.",
        columns: &[
            column("Name", "/name", Name),
            column("Role", "/role", Badge(MEMBER_WORDS)),
            column("Created", "/created_at", Date),
        ],
        actions: &[Action {
            path: "/organization/projects/{project_id}/service_accounts/{service_account_id}/api_keys",
            verb: "New key",
            about: "A further key of the service account.",
            secret: "/value",
            ..Action::EMPTY
        }],
        consequences: &["All keys of the service account are refused within a second."],
        secret: "/api_key/value",
        empty: "Create one for each program, so that its usage is told apart.",
        ..Resource::EMPTY
    },
    Resource {
        path: "/organization/projects/{project_id}/rate_limits",
        item: "/organization/projects/{project_id}/rate_limits/{rate_limit_id}",
        title: "Rate limits",
        singular: "rate limit",
        about: "What each model may be used at most in any window of a minute or a day, by all keys of the project together.",
        name: "/model",
        columns: &[
            column("Model", "/model", Text),
            column("Requests a minute", "/max_requests_per_1_minute", Number),
            column("Tokens a minute", "/max_tokens_per_1_minute", Number),
            column("Requests a day", "/max_requests_per_1_day", Number),
            column("Images a minute", "/max_images_per_1_minute", Number),
            column(
                "Audio MB a minute",
                "/max_audio_megabytes_per_1_minute",
                Number,
            ),
            column(
                "Batch tokens a day",
                "/batch_1_day_max_input_tokens",
                Number,
            ),
        ],
        empty: "No model is known.",
        extra: Extra::LimitsNow,
        ..Resource::EMPTY
    },
    Resource {
        path: "/organization/projects/{project_id}/model_permissions",
        title: "Models",
        singular: "list of models",
        about: "Models that keys of the project may call.",
        delete_verb: "Remove",
        consequences: &["Keys of the project may call every model from then on."],
        empty: "No list is set: keys of the project may call every model.",
        ..Resource::EMPTY
    },
    Resource {
        path: "/organization/projects/{project_id}/hosted_tool_permissions",
        title: "Hosted tools",
        singular: "list of hosted tools",
        about: "Tools that run at upstreams, and may be used in requests of the project.",
        ..Resource::EMPTY
    },
    Resource {
        path: "/organization/projects/{project_id}/service_tier_settings",
        title: "Service tiers",
        singular: "service tiers",
        about: "Tiers that requests of the project may ask for.",
        ..Resource::EMPTY
    },
    Resource {
        path: "/organization/projects/{project_id}/data_retention",
        title: "Data retention",
        singular: "data retention",
        about: "What may be kept of requests and answers of the project.",
        ..Resource::EMPTY
    },
    Resource {
        path: "/organization/projects/{project_id}/certificates",
        item: "/organization/projects/{project_id}/certificates/{certificate_id}",
        title: "Certificates",
        singular: "certificate",
        about: "Authorities whose client certificates are required for the project, besides those of the organization.",
        columns: &[
            column("Name", "/name", Text),
            column("State", "/active", Flag("Active", "Inactive")),
            column("Expires", "/certificate_details/expires_at", Expiry),
        ],
        actions: &[
            Action {
                path: "/organization/projects/{project_id}/certificates/activate",
                verb: "Activate",
                about: "Requests of the project need a client certificate that an active authority has issued.",
                consequences: &[
                    "Clients of the project without such a certificate are refused within a second.",
                ],
                id_field: "certificate_ids",
                is_danger: true,
                applies: is_inactive,
                ..Action::EMPTY
            },
            Action {
                path: "/organization/projects/{project_id}/certificates/deactivate",
                verb: "Deactivate",
                about: "Client certificates of this authority are not accepted for the project any more.",
                consequences: &["Without any active authority, no client certificate is required."],
                id_field: "certificate_ids",
                is_danger: true,
                applies: is_active,
                ..Action::EMPTY
            },
        ],
        empty: "The organization has no certificates.",
        ..Resource::EMPTY
    },
    Resource {
        path: "/organization/projects/{project_id}/spend_limit",
        title: "Spend limit",
        singular: "spend limit",
        about: "Requests of the project that could exceed the limit are refused before they are sent.",
        delete_verb: "Remove",
        consequences: &["The project can spend up to the limit of the organization from then on."],
        empty: "No limit is set: the project can spend up to the limit of the organization.",
        extra: Extra::SpendNow,
        ..Resource::EMPTY
    },
    Resource {
        path: "/organization/projects/{project_id}/spend_alerts",
        item: "/organization/projects/{project_id}/spend_alerts/{alert_id}",
        title: "Spend alerts",
        singular: "alert",
        about: "A mail is sent once a month when the spend of the project reaches the amount.",
        name: "/threshold_amount",
        columns: ALERT_COLUMNS,
        consequences: &["No mail is sent any more when the amount is reached."],
        empty: "No alert: nobody is told about the spend of the project.",
        ..Resource::EMPTY
    },
];
