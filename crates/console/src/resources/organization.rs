//! Descriptors of the organization's resources.

use serde_json::Value as Json;

use crate::cell::Cell;
use crate::resource::ColumnForm::{
    Badge, Cents, Computed, Count, Date, Expiry, Flag, Name, NameWith, Since, Tags, Text, Time,
};
use crate::resource::{Action, Extra, Resource, column};

const ROLE_WORDS: &[(&str, &str, &str)] = &[("owner", "Owner", "accent"), ("reader", "Reader", "")];
const INVITE_WORDS: &[(&str, &str, &str)] = &[
    ("pending", "Pending", "warning"),
    ("accepted", "Accepted", "success"),
    ("expired", "Expired", "failure"),
];
pub(super) const PROJECT_WORDS: &[(&str, &str, &str)] = &[
    ("active", "Active", "success"),
    ("archived", "Archived", ""),
];

fn is_active_project(item: &Json) -> bool {
    item["status"] == "active"
}

fn is_accepted(item: &Json) -> bool {
    item["status"] == "accepted"
}

fn is_not_accepted(item: &Json) -> bool {
    !is_accepted(item)
}

pub(super) fn is_predefined_role(item: &Json) -> bool {
    item["predefined_role"] == true
}

fn is_inactive(item: &Json) -> bool {
    item["active"] == false
}

fn is_active(item: &Json) -> bool {
    item["active"] == true
}

/// Resources of the organization.
pub(super) const RESOURCES: &[Resource] = &[
    Resource {
        path: "/organization/projects",
        item: "/organization/projects/{project_id}",
        title: "Projects",
        singular: "project",
        about: "A project has its own people, keys, limits and policies. Usage and costs are reported for each.",
        columns: &[
            column("Name", "/name", Name),
            column("State", "/status", Badge(PROJECT_WORDS)),
            column("Created", "/created_at", Date),
        ],
        actions: &[Action {
            path: "/organization/projects/{project_id}/archive",
            verb: "Archive",
            about: "An archived project cannot be used or changed any more, and cannot be brought back.",
            consequences: &[
                "Every API key of the project is refused within a second.",
                "Settings of the project are deleted: limits, model permissions, tiers, retention, certificates.",
                "Usage and costs of the project stay in all reports.",
            ],
            affects: &[
                (
                    "API keys that stop",
                    "/organization/projects/{project_id}/api_keys",
                ),
                (
                    "Service accounts that stop",
                    "/organization/projects/{project_id}/service_accounts",
                ),
                (
                    "People who lose access",
                    "/organization/projects/{project_id}/users",
                ),
            ],
            is_danger: true,
            applies: is_active_project,
            ..Action::EMPTY
        }],
        children: &[
            "/organization/projects/{project_id}/api_keys",
            "/organization/projects/{project_id}/users",
        ],
        empty: "Create the first project, then a key in it.",
        extra: Extra::ProjectNow,
        ..Resource::EMPTY
    },
    Resource {
        path: "/organization/users",
        item: "/organization/users/{user_id}",
        title: "Members",
        singular: "member",
        about: "People of the organization. Changes of roles and removals take effect within a second.",
        columns: &[
            column("Name", "/name", NameWith("/email")),
            column("Role", "/role", Badge(ROLE_WORDS)),
            column("Key last used", "/api_key_last_used_at", Since),
            column("Added", "/added_at", Date),
        ],
        facts: &[
            column("Developer persona", "/developer_persona", Text),
            column("Technical level", "/technical_level", Text),
            column(
                "Managed by a directory",
                "/is_scim_managed",
                Flag("Yes", "No"),
            ),
        ],
        children: &[
            "/organization/users/{user_id}/projects",
            "/organization/users/{user_id}/groups",
            "/organization/users/{user_id}/roles",
            "/organization/users/{user_id}/sessions",
        ],
        delete_verb: "Remove",
        consequences: &[
            "The person is signed out everywhere within a second.",
            "All keys of the person are refused within a second: admin keys, and keys of every project.",
            "The person leaves all groups and projects, and loses all roles.",
            "Service accounts stay, and so do usage, costs and the audit log.",
        ],
        affects: &[
            (
                "Projects that are left",
                "/organization/users/{user_id}/projects",
            ),
            (
                "Groups that are left",
                "/organization/users/{user_id}/groups",
            ),
            ("Roles that are lost", "/organization/users/{user_id}/roles"),
            (
                "Browsers that are signed out",
                "/organization/users/{user_id}/sessions",
            ),
        ],
        is_sensitive: true,
        empty: "Invite the first person.",
        extra: Extra::Reasons,
        ..Resource::EMPTY
    },
    Resource {
        path: "/organization/users/{user_id}/roles",
        item: "/organization/users/{user_id}/roles/{role_id}",
        title: "Roles in the organization",
        singular: "role",
        about: "Own roles, and those that come with groups.",
        columns: ASSIGNED_ROLE_COLUMNS,
        create_verb: "Give",
        delete_verb: "Take away",
        consequences: &[
            "What only this role allows is refused within a second, also to keys of the person.",
        ],
        is_sensitive: true,
        empty: "No role.",
        ..Resource::EMPTY
    },
    Resource {
        path: "/organization/invites",
        item: "/organization/invites/{invite_id}",
        title: "Invitations",
        singular: "invitation",
        about: "A person joins by opening the link of the invitation, once, within 7 days.",
        name: "/email",
        columns: &[
            column("E-mail", "/email", Name),
            column("Role", "/role", Badge(ROLE_WORDS)),
            column("State", "/status", Badge(INVITE_WORDS)),
            column("Projects", "/projects", Count),
            column("Sent", "/created_at", Since),
            column("Expires", "/expires_at", Date),
        ],
        facts: &[column("Accepted", "/accepted_at", Time)],
        actions: &[Action {
            path: "/organization/invites/{invite_id}/link",
            verb: "New link",
            about: "For handing the link over yourself, when the mail was not sent or did not arrive.",
            consequences: &[
                "The link in the mail does not work any more; a mail that still waits is not sent.",
                "The new link is shown once, works once, and expires in 7 days.",
            ],
            secret: "/url",
            applies: is_not_accepted,
            ..Action::EMPTY
        }],
        is_fixed: is_accepted,
        create_verb: "Send",
        delete_verb: "Withdraw",
        consequences: &["The link in the mail does not work any more."],
        empty: "Nobody is invited at the moment.",
        ..Resource::EMPTY
    },
    Resource {
        path: "/organization/groups",
        item: "/organization/groups/{group_id}",
        title: "Groups",
        singular: "group",
        about: "A role that is given to a group holds for everyone in it, in the organization or in a project.",
        columns: &[
            column("Name", "/name", Name),
            column(
                "Managed by",
                "/is_scim_managed",
                Flag("Directory", "Console"),
            ),
            column("Created", "/created_at", Date),
        ],
        children: &[
            "/organization/groups/{group_id}/users",
            "/organization/groups/{group_id}/roles",
        ],
        consequences: &[
            "What people may do only as members of the group is refused within a second.",
        ],
        affects: &[
            (
                "People who lose the roles of the group",
                "/organization/groups/{group_id}/users",
            ),
            (
                "Roles that it does not give any more",
                "/organization/groups/{group_id}/roles",
            ),
        ],
        is_sensitive: true,
        empty: "Create a group to give many people the same roles.",
        ..Resource::EMPTY
    },
    Resource {
        path: "/organization/groups/{group_id}/users",
        item: "/organization/groups/{group_id}/users/{user_id}",
        title: "People in the group",
        singular: "person",
        about: "Everyone here has the roles of the group.",
        columns: &[column("Name", "/name", NameWith("/email"))],
        create_verb: "Add",
        delete_verb: "Remove",
        consequences: &["The person loses the roles of the group within a second."],
        empty: "Nobody is in the group.",
        ..Resource::EMPTY
    },
    Resource {
        path: "/organization/groups/{group_id}/roles",
        item: "/organization/groups/{group_id}/roles/{role_id}",
        title: "Roles of the group",
        singular: "role",
        about: "Roles in the organization, for everyone in the group.",
        columns: ASSIGNED_ROLE_COLUMNS,
        create_verb: "Give",
        delete_verb: "Take away",
        consequences: &[
            "What only this role allows is refused within a second to everyone in the group.",
        ],
        is_sensitive: true,
        empty: "The group has no role in the organization.",
        ..Resource::EMPTY
    },
    Resource {
        path: "/organization/roles",
        item: "/organization/roles/{role_id}",
        title: "Roles",
        singular: "role",
        about: "A role is a list of permissions. Roles of the organization hold in each of its projects, too.",
        columns: ROLE_COLUMNS,
        is_fixed: is_predefined_role,
        consequences: &[
            "Everyone who has the role, alone or by a group, loses what only it allows, within a second.",
        ],
        is_sensitive: true,
        empty: "No role.",
        extra: Extra::RolePermissions,
        ..Resource::EMPTY
    },
    Resource {
        path: "/organization/admin_api_keys",
        item: "/organization/admin_api_keys/{key_id}",
        title: "Admin keys",
        singular: "admin key",
        about: "Keys for the Administration API and for orgplane on the command line. A key can do what its owner may do.",
        columns: &[
            column("Name", "/name", NameWith("/redacted_value")),
            column("Owner", "/owner/name", Text),
            column("Last used", "/last_used_at", Since),
            column("Expires", "/expires_at", Expiry),
            column("Created", "/created_at", Date),
        ],
        actions: &[Action {
            path: "/organization/admin_api_keys/{key_id}/rotate",
            verb: "Rotate",
            about: "A new key with the same name and permissions takes the place of this one.",
            secret: "/value",
            ..Action::EMPTY
        }],
        consequences: &["The key is refused within a second. What uses it stops working."],
        secret: "/value",
        is_sensitive: true,
        empty: "Create a key to use the Administration API from programs.",
        ..Resource::EMPTY
    },
    Resource {
        path: "/organization/certificates",
        item: "/organization/certificates/{certificate_id}",
        title: "Certificates",
        singular: "certificate",
        about: "Authorities whose client certificates are required, once one is active in the organization or a project.",
        columns: &[
            column("Name", "/name", Name),
            column("State", "/active", Flag("Active", "Inactive")),
            column("Valid from", "/certificate_details/valid_at", Date),
            column("Expires", "/certificate_details/expires_at", Expiry),
            column("Uploaded", "/created_at", Date),
        ],
        actions: &[
            Action {
                path: "/organization/certificates/activate",
                verb: "Activate",
                about: "Requests need a client certificate that an active authority has issued.",
                consequences: &[
                    "Clients without such a certificate are refused within a second, in every project.",
                ],
                id_field: "certificate_ids",
                is_danger: true,
                applies: is_inactive,
                ..Action::EMPTY
            },
            Action {
                path: "/organization/certificates/deactivate",
                verb: "Deactivate",
                about: "Client certificates of this authority are not accepted any more.",
                consequences: &["Without any active authority, no client certificate is required."],
                id_field: "certificate_ids",
                is_danger: true,
                applies: is_active,
                ..Action::EMPTY
            },
        ],
        create_verb: "Upload",
        consequences: &["The certificate cannot be activated again unless it is uploaded again."],
        is_sensitive: true,
        empty: "No authority: clients need no certificate.",
        ..Resource::EMPTY
    },
    Resource {
        path: "/organization/data_retention",
        title: "Data retention",
        singular: "data retention",
        about: "What may be kept of requests and answers, for all projects that do not say otherwise.",
        is_sensitive: true,
        ..Resource::EMPTY
    },
    Resource {
        path: "/organization/spend_limit",
        title: "Spend limit",
        singular: "spend limit",
        about: "Requests that could exceed the limit are refused before they are sent. The limit holds: it is not overrun.",
        delete_verb: "Remove",
        consequences: &[
            "The organization can spend without a limit from then on. Limits of projects stay.",
        ],
        is_sensitive: true,
        empty: "No limit is set: the organization can spend without a limit.",
        ..Resource::EMPTY
    },
    Resource {
        path: "/organization/spend_alerts",
        item: "/organization/spend_alerts/{alert_id}",
        title: "Spend alerts",
        singular: "alert",
        about: "A mail is sent once a month when the spend of the organization reaches the amount.",
        name: "/threshold_amount",
        columns: ALERT_COLUMNS,
        consequences: &["No mail is sent any more when the amount is reached."],
        empty: "No alert: nobody is told about spend.",
        ..Resource::EMPTY
    },
];

pub(super) const ALERT_COLUMNS: &[crate::resource::Column] = &[
    column("Amount a month", "/threshold_amount", Cents),
    column("Recipients", "/notification_channel/recipients", Tags),
    column("Subject", "/notification_channel/subject_prefix", Text),
];

pub(super) const ROLE_COLUMNS: &[crate::resource::Column] = &[
    column("Name", "/name", NameWith("/description")),
    column("Kind", "/predefined_role", Flag("Predefined", "Custom")),
    column("Permissions", "/permissions", Count),
];

/// Returns how a role is given: directly, or by groups.
fn assignment_source(role: &Json) -> Cell {
    let sources = role["assignment_sources"].as_array();
    Cell::Text(match sources.map_or(0, Vec::len) {
        0 => "directly".to_owned(),
        1 => "by a group".to_owned(),
        count => format!("by {count} groups"),
    })
}

pub(super) const ASSIGNED_ROLE_COLUMNS: &[crate::resource::Column] = &[
    column("Name", "/name", NameWith("/description")),
    column("Permissions", "/permissions", Count),
    column("Given", "/assignment_sources", Computed(assignment_source)),
    column("Since", "/created_at", Date),
];
