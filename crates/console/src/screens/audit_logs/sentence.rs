//! Sentences of audit events: who did what to what.

use base::EventType;
use pages::Link;
use serde_json::Value as Json;

/// The sentence of an event, in parts: "created a project", a name with a link, and an end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sentence {
    /// Verb and noun: "created the project".
    pub(crate) deed: String,
    /// Name of the target; empty if there is none.
    pub(crate) target: String,
    /// Page of the target; empty if there is none.
    pub(crate) link: String,
    /// End of the sentence, such as "to the group"; empty if there is none.
    pub(crate) rest: String,
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
        EventType::InviteDeleted => "revoked the invitation",
        EventType::LoginFailed => "failed to authenticate",
        EventType::LoginSucceeded => "signed in",
        EventType::LogoutSucceeded => "signed out",
        EventType::RoleAssignmentCreated => "assigned a role",
        EventType::RoleAssignmentDeleted => "took back a role",
        EventType::BodiesRead => "read stored bodies of",
        EventType::GroupUserAdded => "added a member to the group",
        EventType::GroupUserRemoved => "removed a member from the group",
        EventType::ProjectGroupAdded => "added a group to the project",
        EventType::ProjectGroupRemoved => "removed a group from the project",
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
        let named = NAMES
            .iter()
            .find_map(|pointer| details.pointer(pointer)?.as_str());
        let named = named.filter(|name| !name.trim().is_empty());
        let project = entry["project"]["id"].as_str();
        let deed = deed(kind);
        let is_setting = SETTINGS.iter().any(|setting| deed.ends_with(setting));
        let target = match named {
            Some(name) => name.to_owned(),
            None if id.starts_with("org-") => String::new(),
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
            rest: if is_setting && project.is_some() {
                String::new()
            } else {
                rest(kind, details)
            },
            deed: if is_setting && project.is_some() {
                format!("{deed} of the project")
            } else {
                deed
            },
        }
    }
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
    let noun = noun.replace(['.', '_'], " ").replace("api key", "API key");
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

/// Returns the end of a sentence that a second id completes.
fn rest(kind: &str, details: &Json) -> String {
    let text = |name: &str| details[name].as_str().unwrap_or_default();
    match EventType::parse(kind) {
        Some(EventType::GroupUserAdded | EventType::GroupUserRemoved) => text("user_id").to_owned(),
        Some(EventType::ProjectGroupAdded | EventType::ProjectGroupRemoved) => {
            text("group_id").to_owned()
        }
        Some(EventType::RoleAssignmentCreated | EventType::RoleAssignmentDeleted) => {
            let principal = text("principal_id");
            if principal.is_empty() {
                String::new()
            } else {
                format!("for {principal}")
            }
        }
        Some(EventType::LoginFailed) => text("error_message").to_owned(),
        _ => String::new(),
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
    } else if has("role_") && !has("role_assignment_") {
        own("roles")
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
    /// Address of the client; empty if it is not known.
    pub(crate) address: String,
}

impl AuditActor {
    /// Returns the actor of an entry of the log.
    pub(crate) fn of(entry: &Json) -> Self {
        let actor = &entry["actor"];
        let project = entry["project"]["id"].as_str();
        let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
        let person = |user: &Json| {
            let id = text(&user["id"]);
            let email = text(&user["email"]);
            (
                if email.is_empty() { id.clone() } else { email },
                page(&id, project),
            )
        };
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
            address,
        }
    }
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
                verb.ends_with("ed") || ["read", "sent", "took", "set", "signed"].contains(&verb),
                "{deed}"
            );
        }
    }

    fn shown(entry: &Json) -> String {
        let Sentence {
            deed,
            target,
            link,
            rest,
        } = Sentence::of(entry);
        format!("{deed}|{target}|{link}|{rest}")
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
                "added a member to the group|group_1|/console/groups/group_1|user-1",
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
