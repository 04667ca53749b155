//! Sentences of audit events: who did what to what.

use base::EventType;
use base::ids::{Id, RoleAssignmentId};
use pages::Link;
use serde_json::Value as Json;

use crate::cell::text_of;

/// The sentence of an event, in parts: "created a project", a name with a link, and an end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sentence {
    /// Verb and noun: "created the project".
    pub(crate) deed: String,
    /// Name of the target; empty if there is none.
    pub(crate) target: String,
    /// Page of the target; empty if there is none.
    pub(crate) link: String,
    /// Words before the other thing, such as "to the group", or the end of the sentence; empty if there is none.
    pub(crate) joint: String,
    /// Name or id of the other thing that the event is about; empty if there is none.
    pub(crate) other: String,
    /// Page of the other thing; empty if there is none.
    pub(crate) other_link: String,
}

/// Verbs by the last part of a type.
const VERBS: &[(&str, &str)] = &[
    ("accepted", "accepted"),
    ("activated", "activated"),
    ("added", "added"),
    ("archived", "archived"),
    ("created", "created"),
    ("deactivated", "deactivated"),
    ("deleted", "deleted"),
    ("disabled", "disabled"),
    ("enabled", "enabled"),
    ("ended", "ended"),
    ("read", "read"),
    ("removed", "removed"),
    ("rotated", "rotated"),
    ("sent", "sent"),
    ("set", "set"),
    ("updated", "changed"),
];

/// Returns the deed of a type whose words would mislead.
fn named_deed(kind: EventType) -> Option<&'static str> {
    Some(match kind {
        EventType::ApiKeyDeleted => "deleted the API key",
        EventType::InviteSent => "sent an invitation to",
        EventType::InviteAccepted => "accepted the invitation",
        EventType::InviteDeleted => "withdrew the invitation",
        EventType::LoginFailed => "failed to authenticate",
        EventType::LoginSucceeded => "signed in",
        EventType::LogoutSucceeded => "signed out",
        EventType::RoleAssignmentCreated => "gave the role",
        EventType::RoleAssignmentDeleted => "took back the role",
        EventType::BodiesRead => "read stored bodies of",
        EventType::GroupUserAdded => "added the person",
        EventType::GroupUserRemoved => "removed the person",
        EventType::ProjectGroupAdded => "added the group",
        EventType::ProjectGroupRemoved => "removed the group",
        _ => return None,
    })
}

/// Settings, which have no article and no name.
const SETTINGS: &[&str] = &[
    "data retention",
    "hosted tool permissions",
    "model permissions",
    "service tier settings",
];

/// Beginnings of ids that say nothing to people: of the organization, links and sessions.
const UNNAMED: &[&str] = &["org-", "link_", "sess_"];

/// Pointers to the name of the target in the details of an event.
const NAMES: &[&str] = &[
    "/data/name",
    "/data/title",
    "/data/email",
    "/data/group_name",
    "/changes_requested/name",
    "/changes_requested/title",
    "/changes_requested/group_name",
    "/name",
    "/title",
    "/email",
];

impl Sentence {
    /// Returns the sentence of an entry of the log.
    pub(crate) fn of(entry: &Json) -> Self {
        let kind = entry["type"].as_str().unwrap_or_default();
        let details = &entry[kind];
        let id = details["id"].as_str().unwrap_or_default();
        let project = entry["project"]["id"].as_str();
        let deed = deed(kind);
        if let Some((target, joint, other)) = pair(kind, id, details) {
            return Self {
                link: page(target, project),
                target: target.to_owned(),
                other_link: page(other, project),
                other: other.to_owned(),
                joint: joint.to_owned(),
                deed,
            };
        }
        let named = NAMES
            .iter()
            .find_map(|pointer| details.pointer(pointer)?.as_str());
        let named = named.filter(|name| !name.trim().is_empty());
        let is_setting = SETTINGS.iter().any(|setting| deed.ends_with(setting));
        let target = match named {
            Some(name) => name.to_owned(),
            None if UNNAMED.iter().any(|prefix| id.starts_with(prefix)) => String::new(),
            None if id.starts_with("proj_") && project == Some(id) => {
                entry["project"]["name"].as_str().unwrap_or(id).to_owned()
            }
            None => id.to_owned(),
        };
        Self {
            link: if kind.ends_with(".deleted") {
                String::new()
            } else {
                page(id, project)
            },
            target,
            joint: match EventType::parse(kind) {
                Some(EventType::LoginFailed) => text_of(&details["error_message"]),
                _ => String::new(),
            },
            other: String::new(),
            other_link: String::new(),
            deed: if is_setting && project.is_some() {
                format!("{deed} of the project")
            } else {
                deed
            },
        }
    }
}

/// Returns the ids of the two things that an event joins or parts, with the words between them; `None` for other events.
fn pair<'a>(
    kind: &str,
    id: &'a str,
    details: &'a Json,
) -> Option<(&'a str, &'static str, &'a str)> {
    let text = |name: &str| details[name].as_str();
    Some(match EventType::parse(kind)? {
        EventType::GroupUserAdded => (text("user_id")?, "to the group", id),
        EventType::GroupUserRemoved => (text("user_id")?, "from the group", id),
        EventType::ProjectGroupAdded => (text("group_id")?, "to the project", id),
        EventType::ProjectGroupRemoved => (text("group_id")?, "from the project", id),
        EventType::RoleAssignmentCreated => (role_of(id, details)?, "to", text("principal_id")?),
        EventType::RoleAssignmentDeleted => (role_of(id, details)?, "from", text("principal_id")?),
        _ => return None,
    })
}

/// Returns the role of an assignment, whose id is composed of the ids of the role and of the principal.
fn role_of<'a>(id: &'a str, details: &Json) -> Option<&'a str> {
    let principal = details["principal_id"].as_str()?;
    let role = id.strip_prefix(RoleAssignmentId::PREFIX)?;
    role.strip_suffix(principal)?.strip_suffix('_')
}

/// Returns verb and noun of a type.
fn deed(kind: &str) -> String {
    if let Some(deed) = EventType::parse(kind).and_then(named_deed) {
        return deed.to_owned();
    }
    let words = kind.strip_prefix("x.").unwrap_or(kind);
    let (noun, verb) = words.rsplit_once('.').unwrap_or((words, ""));
    let known = VERBS.iter().find(|(own, _)| *own == verb);
    let verb = known.map_or(verb, |(_, verb)| verb);
    let noun = noun
        .replace(['.', '_'], " ")
        .replace("api key", "API key")
        .replace("sign in", "sign-in");
    if SETTINGS.contains(&noun.as_str()) || noun.ends_with('s') {
        format!("{verb} {noun}")
    } else if verb == "created" || verb == "added" {
        let is_open = noun.starts_with(['a', 'e', 'i', 'o', 'A']);
        let article = if is_open { "an" } else { "a" };
        format!("{verb} {article} {noun}")
    } else {
        format!("{verb} the {noun}")
    }
}

/// Returns the page of an id; empty if ids of its kind have none.
pub(crate) fn page(id: &str, project: Option<&str>) -> String {
    let own = |collection: &str| Link::new(["console", collection, id]).to_string();
    let of_project = |collection: &str| {
        let project = project?;
        Some(Link::new(["console", "projects", project, collection, id]).to_string())
    };
    let has = |prefix: &str| id.starts_with(prefix);
    if has("proj_") {
        own("projects")
    } else if has("user-") {
        own("users")
    } else if has("svc_acct_") {
        of_project("service_accounts").unwrap_or_default()
    } else if has("key_") {
        of_project("api_keys").unwrap_or_else(|| own("admin_api_keys"))
    } else if has(RoleAssignmentId::PREFIX) {
        String::new()
    } else if has("role_") || has("role-") {
        of_project("roles").unwrap_or_else(|| own("roles"))
    } else if has("group_") {
        own("groups")
    } else if has("invite-") {
        own("invites")
    } else if has("cert_") {
        own("certificates")
    } else if has("alert_") {
        of_project("spend_alerts").unwrap_or_else(|| own("spend_alerts"))
    } else {
        String::new()
    }
}

/// The actor of an event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AuditActor {
    /// Name: an e-mail address where there is one.
    pub(crate) name: String,
    /// Page of the actor; empty if there is none.
    pub(crate) link: String,
    /// Way in which the actor came: by a session or a key.
    pub(crate) way: String,
    /// Page of the key that the actor came with; empty for other ways.
    pub(crate) key_link: String,
    /// Address of the client; empty if it is not known.
    pub(crate) address: String,
}

impl AuditActor {
    /// Returns the actor of an entry of the log.
    pub(crate) fn of(entry: &Json) -> Self {
        let actor = &entry["actor"];
        let project = entry["project"]["id"].as_str();
        let person = |user: &Json| person(user, project);
        let mut key_link = String::new();
        let (inner, (name, link), way) = match actor["type"].as_str() {
            Some("session") if actor["session"]["user"].is_null() => {
                let name = "Unknown person".to_owned();
                let way = "at the sign-in".to_owned();
                (&actor["session"], (name, String::new()), way)
            }
            Some("session") => {
                let session = &actor["session"];
                (
                    session,
                    person(&session["user"]),
                    "in the console".to_owned(),
                )
            }
            Some("api_key") => {
                let key = &actor["api_key"];
                let way = format!("with {}", text(&key["id"]));
                key_link = page(&text(&key["id"]), project);
                let account = &key["service_account"];
                if account.is_object() {
                    let id = text(&account["id"]);
                    let link = page(&id, project);
                    (key, (id, link), way)
                } else {
                    (key, person(&key["user"]), way)
                }
            }
            _ => {
                let name = "The server".to_owned();
                let way = "by a command or its first start".to_owned();
                return Self {
                    name,
                    way,
                    ..Self::default()
                };
            }
        };
        let address = text(&inner["ip_address"]);
        let address = if address.is_empty() {
            text(&actor["ip_address"])
        } else {
            address
        };
        Self {
            name,
            link,
            way,
            key_link,
            address,
        }
    }
}

/// Returns the name of a person in an actor, and the link to the person's page.
fn person(user: &Json, project: Option<&str>) -> (String, String) {
    let id = text(&user["id"]);
    let email = text(&user["email"]);
    let link = page(&id, project);
    (if email.is_empty() { id } else { email }, link)
}

/// Returns a text; empty if the value is none.
fn text(value: &Json) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(kind: &str, details: &Json) -> Json {
        json!({"id": "audit_log-1", "type": kind, "effective_at": 1, kind: details})
    }

    #[test]
    fn every_event_type_has_a_sentence_in_plain_words() {
        for kind in EventType::ALL {
            let sentence = Sentence::of(&entry(kind.as_str(), &json!({"id": "thing"})));
            let deed = &sentence.deed;
            assert!(deed.contains(' '), "{deed}");
            assert!(!deed.contains(['_', '.']) && !deed.contains("x "), "{deed}");
            let verb = deed.split(' ').next().unwrap_or_default();
            assert!(
                verb.ends_with("ed")
                    || ["read", "sent", "took", "set", "signed", "gave", "withdrew"]
                        .contains(&verb),
                "{deed}"
            );
        }
    }

    fn shown(entry: &Json) -> String {
        let Sentence {
            deed,
            target,
            link,
            joint,
            other,
            other_link,
        } = Sentence::of(entry);
        let shown = format!("{deed}|{target}|{link}|{joint}");
        if other.is_empty() {
            shown
        } else {
            format!("{shown}|{other}|{other_link}")
        }
    }

    #[test]
    fn sentences_name_their_target_and_lead_to_it() {
        let mut archived = entry("project.archived", &json!({"id": "proj_1"}));
        archived["project"] = json!({"id": "proj_1", "name": "Search"});
        let mut setting = entry("x.model_permissions.updated", &json!({"id": "proj_1"}));
        setting["project"] = json!({"id": "proj_1", "name": "Search"});
        let mut account = entry(
            "service_account.updated",
            &json!({"id": "svc_acct_1", "changes_requested": {"name": "Ranker"}}),
        );
        account["project"] = json!({"id": "proj_1", "name": "Search"});
        for (entry, expected) in [
            (
                entry(
                    "project.created",
                    &json!({"id": "proj_1", "data": {"title": "<b>"}}),
                ),
                "created a project|<b>|/console/projects/proj_1|",
            ),
            (
                archived,
                "archived the project|Search|/console/projects/proj_1|",
            ),
            (
                setting,
                "changed model permissions of the project|Search|/console/projects/proj_1|",
            ),
            (
                account,
                "changed the service account|Ranker|/console/projects/proj_1/service_accounts/svc_acct_1|",
            ),
        ] {
            assert_eq!(shown(&entry), expected);
        }
    }

    #[test]
    fn sentences_of_the_organization_lead_to_its_pages() {
        for (entry, expected) in [
            (
                entry("api_key.created", &json!({"id": "key_1"})),
                "created an API key|key_1|/console/admin_api_keys/key_1|",
            ),
            (
                entry(
                    "invite.sent",
                    &json!({"id": "invite-1", "data": {"email": "a@b.example"}}),
                ),
                "sent an invitation to|a@b.example|/console/invites/invite-1|",
            ),
            (
                entry("group.deleted", &json!({"id": "group_1"})),
                "deleted the group|group_1||",
            ),
            (
                entry(
                    "x.group.user.added",
                    &json!({"id": "group_1", "user_id": "user-1"}),
                ),
                "added the person|user-1|/console/users/user-1|to the group|group_1|/console/groups/group_1",
            ),
            (
                entry(
                    "role.assignment.created",
                    &json!({"id": "role_assignment_role_1_user-1", "principal_id": "user-1"}),
                ),
                "gave the role|role_1|/console/roles/role_1|to|user-1|/console/users/user-1",
            ),
            (
                entry(
                    "login.failed",
                    &json!({"error_message": "The key is unknown."}),
                ),
                "failed to authenticate|||The key is unknown.",
            ),
            (
                entry("tenant.something.happened", &json!({})),
                "happened the tenant something|||",
            ),
            (json!({"type": 5}), " the |||"),
        ] {
            assert_eq!(shown(&entry), expected);
        }
    }

    #[test]
    fn actors_are_people_keys_or_the_server() {
        let mut entry = entry("project.created", &json!({"id": "proj_1"}));
        assert_eq!(AuditActor::of(&entry).name, "The server");
        entry["actor"] = json!({"type": "session", "session": {"user": {"id": "user-1", "email": "ada@acme.example"}, "ip_address": "192.0.2.1"}});
        let actor = AuditActor::of(&entry);
        assert_eq!(
            (
                actor.name.as_str(),
                actor.link.as_str(),
                actor.address.as_str()
            ),
            ("ada@acme.example", "/console/users/user-1", "192.0.2.1")
        );
        entry["actor"] = json!({"type": "api_key", "api_key": {"id": "key_1", "type": "service_account", "service_account": {"id": "svc_acct_1"}}});
        entry["project"] = json!({"id": "proj_1"});
        let actor = AuditActor::of(&entry);
        assert_eq!(
            (actor.link.as_str(), actor.way.as_str()),
            (
                "/console/projects/proj_1/service_accounts/svc_acct_1",
                "with key_1"
            )
        );
    }
}
