//! Descriptors of sessions: of a member, and of the visitor.

use serde_json::Value as Json;

use crate::cell::{Cell, text_of};
use crate::resource::ColumnForm::{Badge, Computed, Since, Text, Time};
use crate::resource::{Action, Column, Resource, column};

const METHOD_WORDS: &[(&str, &str, &str)] = &[
    ("password", "Password", ""),
    ("link", "Link", ""),
    ("invite", "Invitation", ""),
    ("provider", "Identity provider", ""),
];

/// Names of browsers, with what their `User-Agent` contains. Names that others contain, too, come last.
const BROWSERS: [(&str, &str); 6] = [
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
];
/// Names of systems, with what the `User-Agent` of their browsers contains.
const SYSTEMS: [(&str, &str); 6] = [
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
];

/// Returns the browser and the system of a session.
fn browser(session: &Json) -> Cell {
    let agent = text_of(&session["user_agent"]);
    let name = |names: &[(&str, &'static str)]| {
        let found = names.iter().find(|(part, _)| agent.contains(part));
        found.map(|(_, name)| *name)
    };
    let text = match (name(&BROWSERS), name(&SYSTEMS)) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) if agent.is_empty() => "Unknown browser".to_owned(),
        (None, None) => agent,
    };
    let is_current = session["is_current"] == true;
    Cell::Link {
        text,
        target: String::new(),
        second: if is_current {
            "this browser".to_owned()
        } else {
            String::new()
        },
    }
}

const COLUMNS: &[Column] = &[
    column("Browser", "/user_agent", Computed(browser)),
    column("Signed in by", "/method", Badge(METHOD_WORDS)),
    column("Address", "/ip_address", Text),
    column("Signed in", "/created_at", Since),
    column("Last seen", "/last_seen_at", Since),
    column("Ends at the latest", "/expires_at", Time),
];

/// Sessions.
pub(super) const RESOURCES: &[Resource] = &[
    Resource {
        path: "/organization/users/{user_id}/sessions",
        item: "/organization/users/{user_id}/sessions/{session_id}",
        title: "Sessions",
        singular: "session",
        about: "Browsers in which the person is signed in.",
        name: "/id",
        columns: COLUMNS,
        actions: &[Action {
            path: "/organization/users/{user_id}/sessions",
            page: "/organization/users/{user_id}/sessions/end",
            is_deletion: true,
            verb: "End all",
            about: "The person is signed out everywhere.",
            consequences: &[
                "Every browser of the person is signed out within a second.",
                "Keys of the person stay valid.",
            ],
            is_danger: true,
            is_of_item: false,
            ..Action::EMPTY
        }],
        delete_verb: "End",
        consequences: &[
            "The browser is signed out within a second. Keys of the person stay valid.",
        ],
        empty: "The person is not signed in anywhere.",
        ..Resource::EMPTY
    },
    Resource {
        path: "/organization/me/sessions",
        item: "/organization/me/sessions/{session_id}",
        title: "My sessions",
        singular: "session",
        about: "Browsers in which you are signed in. End what you do not know.",
        name: "/id",
        columns: COLUMNS,
        delete_verb: "End",
        consequences: &["The browser is signed out within a second."],
        empty: "You are not signed in anywhere.",
        ..Resource::EMPTY
    },
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn browsers_are_named_in_words() {
        let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
        let chrome = "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36";
        for (agent, expected) in [
            (json!(firefox), "Firefox on Linux"),
            (json!(chrome), "Chrome on Windows"),
            (json!("robot"), "robot"),
            (json!(null), "Unknown browser"),
        ] {
            assert_eq!(browser(&json!({"user_agent": agent})).plain(), expected);
        }
    }
}
