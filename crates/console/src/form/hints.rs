//! Hints: labels, help and controls of fields where the schema alone does not say enough to people.

use super::FormControl;
use super::setting_hints::SETTING_HINTS;
use crate::picker::PickerKind;

/// A control that a hint asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum HintControl {
    /// Several lines of one text.
    Text,
    /// An amount in US cents, entered in dollars.
    Dollars,
    /// A span of time in seconds, chosen from presets.
    Span(&'static [(&'static str, &'static str)]),
    /// An existing item.
    Pick(PickerKind),
    /// Several things that exist.
    PickMany(PickerKind),
    /// Permissions.
    Permissions,
}

impl From<HintControl> for FormControl {
    fn from(control: HintControl) -> Self {
        match control {
            HintControl::Text => Self::Text,
            HintControl::Dollars => Self::Dollars,
            HintControl::Span(presets) => Self::Span(presets),
            HintControl::Pick(kind) => Self::Pick(kind),
            HintControl::PickMany(kind) => Self::PickMany(kind),
            HintControl::Permissions => Self::Permissions,
        }
    }
}

/// A hint for a field.
#[derive(Clone, Copy)]
pub(crate) struct Hint {
    /// Beginning of the commands whose field is meant; empty for all.
    pub(crate) command: &'static str,
    /// Name of the field, with dots between the names of nested ones.
    pub(crate) field: &'static str,
    /// Text of the label; empty for the words of the name.
    pub(crate) label: &'static str,
    /// Sentence of help; none for the description in the schema.
    pub(crate) help: Option<&'static str>,
    /// Control; none for the one that suits the schema.
    pub(crate) control: Option<HintControl>,
    /// Value of a new form.
    pub(crate) default: &'static str,
    /// Pointer to the present value in the item; empty for the name.
    pub(crate) source: &'static str,
    /// True if the field is among further settings.
    pub(crate) is_more: bool,
}

/// Default of a field that takes the id of a person: the visitor.
pub(crate) const VISITOR: &str = "@visitor";

pub(super) const NONE: Hint = Hint {
    command: "",
    field: "",
    label: "",
    help: None,
    control: None,
    default: "",
    source: "",
    is_more: false,
};

const LIFETIMES: &[(&str, &str)] = &[
    ("86400", "1 day"),
    ("604800", "7 days"),
    ("2592000", "30 days"),
    ("5184000", "60 days"),
    ("7776000", "90 days"),
    ("31536000", "365 days"),
];
const OVERLAPS: &[(&str, &str)] = &[
    ("0", "At once"),
    ("3600", "After 1 hour"),
    ("86400", "After 1 day"),
    ("604800", "After 7 days"),
    ("2592000", "After 30 days"),
];

/// Hints, special ones before general ones.
const HINTS: &[Hint] = &[
    Hint {
        field: "name",
        label: "Name",
        help: Some(""),
        ..NONE
    },
    Hint {
        command: "invites",
        field: "email",
        label: "E-mail address",
        help: Some("Of the person. The invitation can be accepted once, within 7 days."),
        ..NONE
    },
    Hint {
        command: "invites",
        field: "role",
        label: "Role in the organization",
        help: Some("Roles for projects and administration can be added at any time."),
        default: "reader",
        ..NONE
    },
    Hint {
        field: "projects",
        label: "Projects",
        help: Some("Without a project here, the person becomes a member of the default project."),
        ..NONE
    },
    Hint {
        field: "projects.id",
        label: "Project",
        help: Some(""),
        control: Some(HintControl::Pick(PickerKind::Projects)),
        ..NONE
    },
    Hint {
        field: "projects.role",
        label: "Role",
        help: Some(""),
        default: "member",
        ..NONE
    },
    Hint {
        command: "projects:users",
        field: "user_id",
        label: "Person",
        help: Some("People of the organization, by name or e-mail address."),
        control: Some(HintControl::Pick(PickerKind::Users)),
        ..NONE
    },
    Hint {
        command: "projects:users",
        field: "email",
        label: "E-mail address instead",
        help: Some("For a person of the organization who is not picked above."),
        is_more: true,
        ..NONE
    },
    Hint {
        command: "projects:users",
        field: "role",
        label: "Role in the project",
        help: Some(""),
        default: "member",
        ..NONE
    },
    Hint {
        command: "me:api-keys",
        field: "project_id",
        label: "Project",
        help: Some("Usage of the key is reported there, and the limits of the project apply."),
        control: Some(HintControl::Pick(PickerKind::MyProjects)),
        ..NONE
    },
    Hint {
        command: "projects:api-keys",
        field: "user_id",
        label: "Owner",
        help: Some("The key can do what this person may do, and stops when the person leaves."),
        control: Some(HintControl::Pick(PickerKind::Users)),
        default: VISITOR,
        ..NONE
    },
    Hint {
        field: "user_id",
        label: "Person",
        help: Some("People of the organization, by name or e-mail address."),
        control: Some(HintControl::Pick(PickerKind::Users)),
        ..NONE
    },
    Hint {
        command: "projects:groups create",
        field: "role",
        label: "Role in the project",
        help: Some("Everyone in the group gets this role here."),
        control: Some(HintControl::Pick(PickerKind::ProjectRoles)),
        default: "role-api-project-member",
        ..NONE
    },
    Hint {
        field: "group_id",
        label: "Group",
        help: Some(""),
        control: Some(HintControl::Pick(PickerKind::Groups)),
        ..NONE
    },
    Hint {
        command: "users update",
        field: "role",
        label: "Role in the organization",
        help: Some(""),
        ..NONE
    },
    Hint {
        command: "users update",
        field: "role_id",
        label: "Role by its id instead",
        help: Some("Replaces the role above. Leave empty to keep it."),
        control: Some(HintControl::Pick(PickerKind::Roles)),
        is_more: true,
        ..NONE
    },
    Hint {
        command: "users update",
        field: "developer_persona",
        is_more: true,
        ..NONE
    },
    Hint {
        command: "users update",
        field: "technical_level",
        is_more: true,
        ..NONE
    },
    Hint {
        command: "projects:users:roles",
        field: "role_id",
        label: "Role",
        help: Some(""),
        control: Some(HintControl::Pick(PickerKind::ProjectRoles)),
        ..NONE
    },
    Hint {
        command: "projects:groups:roles",
        field: "role_id",
        label: "Role",
        help: Some(""),
        control: Some(HintControl::Pick(PickerKind::ProjectRoles)),
        ..NONE
    },
    Hint {
        field: "role_id",
        label: "Role",
        help: Some(""),
        control: Some(HintControl::Pick(PickerKind::Roles)),
        ..NONE
    },
    Hint {
        field: "role_name",
        label: "Name",
        help: Some("Unique, regardless of case."),
        source: "/name",
        ..NONE
    },
    Hint {
        field: "permissions",
        label: "Permissions",
        help: Some(
            "The role allows what is checked. People with several roles may do what all of them allow together.",
        ),
        control: Some(HintControl::Permissions),
        ..NONE
    },
    Hint {
        field: "description",
        help: Some(""),
        ..NONE
    },
    Hint {
        field: "scopes",
        label: "Permissions",
        help: Some(
            "Nothing checked: the key can do whatever its owner may do. Else it is limited to what is checked.",
        ),
        control: Some(HintControl::Permissions),
        is_more: true,
        ..NONE
    },
    Hint {
        field: "overlap_seconds",
        label: "The old key stops",
        help: Some(
            "Both keys work until then, so that no request fails while the new key is put in place.",
        ),
        control: Some(HintControl::Span(OVERLAPS)),
        default: "86400",
        ..NONE
    },
    Hint {
        command: "projects:api-keys update",
        field: "expires_in_seconds",
        label: "New lifetime",
        help: Some("Counted from now. Leave unchanged to keep the present end."),
        control: Some(HintControl::Span(LIFETIMES)),
        source: "/none",
        ..NONE
    },
    Hint {
        field: "expires_in_seconds",
        label: "Expires",
        help: Some("A key that expires limits the damage if it leaks."),
        control: Some(HintControl::Span(LIFETIMES)),
        default: "7776000",
        source: "/none",
        ..NONE
    },
    Hint {
        field: "create_service_account_only",
        label: "Without a role and without a key",
        help: Some("A key and a role can be added later."),
        is_more: true,
        ..NONE
    },
];

/// Order of fields: what people know first comes first.
const ORDER: &[&str] = &[
    "role_name",
    "name",
    "email",
    "project_id",
    "user_id",
    "group_id",
    "role_id",
    "role",
    "description",
    "mode",
    "model_ids",
    "certificate",
    "threshold_amount",
    "max_requests_per_1_minute",
    "max_requests_per_1_day",
    "max_tokens_per_1_minute",
    "expires_in_seconds",
];

/// Returns the hint for a field of a command's body; one without content if there is none.
pub(crate) fn hint(command: &str, field: &str) -> &'static Hint {
    let mut hints = HINTS.iter().chain(SETTING_HINTS);
    let found = hints.find(|hint| hint.field == field && command.starts_with(hint.command));
    found.unwrap_or(&NONE)
}

/// Returns the place of a field among the others.
pub(crate) fn rank(field: &str) -> usize {
    let place = ORDER.iter().position(|name| *name == field);
    place.unwrap_or(ORDER.len())
}
