//! Operations of the hosted service that this server does not offer, so that nobody takes the refusal for a typo.

use crate::path_pattern::is_at_or_below;
use crate::{Error, Result};

/// Operations that clients of the hosted service know, and that are not offered here.
#[derive(Debug)]
pub struct NotOffered {
    /// Pattern of their paths below `/v1`; the paths below it belong to them as well.
    pub path: &'static str,
    /// Their only method; `None` if the pattern is theirs with every method.
    pub method: Option<&'static str>,
    /// Noun for them.
    pub name: &'static str,
    /// Alternative, and the reason, in whole sentences.
    pub advice: &'static str,
}

/// Returns an entry for every method of a path.
const fn at(path: &'static str, name: &'static str, advice: &'static str) -> NotOffered {
    NotOffered {
        path,
        method: None,
        name,
        advice,
    }
}

const EVENTS: &str =
    "Use POST /v1/responses with \"stream\": true, and /v1/audio for speech in and out.";
const DEPRECATED: &str =
    "The hosted service is retiring them. Use POST /v1/responses and /v1/conversations.";
const SHARED_CODE: &str = "They run code in the account that all projects share, and keep secrets there. Run the Agents SDK on your own \
                           machine, with POST /v1/responses.";
const TRAINING: &str = "Its cost is outside every limit, and its models would belong to all projects. Train at the model server, and \
                        list the model in [[upstream]].";
const VOICES: &str =
    "They would belong to all projects of the account. Name one of the model's own voices.";
const EVENTS_OF_ALL: &str = "The account's events are those of all its projects. Poll the batch, or the response, with GET.";
const REVIEWS: &str =
    "They belong to the account that all projects share. Ask the operator of the account.";
const OWN_KEYS: &str = "This server stores no content at the hosted service. See docs/databases.md for where its data is.";
const FEDERATION: &str = "Give each workload a service account of its own: POST /v1/organization/projects/{project_id}/service_accounts.";

/// Operations that are not offered. The first entry that matches a request is the refusal; what is served is never looked for here.
pub static NOT_OFFERED: &[NotOffered] = &[
    at("/realtime", "the Realtime API", EVENTS),
    at("/live", "live sessions", EVENTS),
    at(
        "/videos",
        "videos",
        "Use POST /v1/images/generations for pictures.",
    ),
    at(
        "/skills",
        "skills",
        "They bring code into the account that all projects share. Put instructions and function tools into POST \
         /v1/responses.",
    ),
    at(
        "/fine_tuning/alpha/graders",
        "graders",
        "Grade with a prompt of your own: POST /v1/responses.",
    ),
    at("/fine_tuning", "fine-tuning", TRAINING),
    NotOffered {
        path: "/models/{model}",
        method: Some("DELETE"),
        name: "the deletion of models",
        advice: "The operator's [[upstream]] tables say which models there are; a fine-tuned one is deleted at its model server.",
    },
    at(
        "/evals",
        "evals",
        "Send the requests in a batch, POST /v1/batches, and grade the answers with POST /v1/responses.",
    ),
    at("/assistants", "assistants", DEPRECATED),
    at("/threads", "threads", DEPRECATED),
    at(
        "/chatkit",
        "ChatKit",
        "Serve the chat from your own program, with POST /v1/responses and /v1/conversations.",
    ),
    at("/agents", "hosted agents", SHARED_CODE),
    at("/vaults", "vaults", SHARED_CODE),
    at("/webhook_endpoints", "webhooks", EVENTS_OF_ALL),
    at("/webhook_event_types", "webhooks", EVENTS_OF_ALL),
    at("/audio/voices", "custom voices", VOICES),
    at("/audio/voice_consents", "custom voices", VOICES),
    at(
        "/content_provenance_checks",
        "content provenance checks",
        REVIEWS,
    ),
    at("/safety", "safety alerts and cases", REVIEWS),
    at(
        "/alpha",
        "alpha endpoints, such as search",
        "Use the hosted tool web_search in POST /v1/responses.",
    ),
    at(
        "/organization/external_keys",
        "encryption keys of your own",
        OWN_KEYS,
    ),
    at(
        "/organization/external_storage",
        "external storage",
        OWN_KEYS,
    ),
    at(
        "/organization/workload_identity_providers",
        "workload identity federation",
        FEDERATION,
    ),
];

impl NotOffered {
    /// Returns the entry for a method and a path below `/v1`.
    #[must_use]
    pub fn find(method: &str, path: &str) -> Option<&'static Self> {
        let mut entries = NOT_OFFERED.iter();
        entries.find(|entry| {
            entry.method.is_none_or(|only| only == method) && is_at_or_below(path, entry.path)
        })
    }

    /// Refuses a request if it asks for something that is known, and not offered.
    ///
    /// # Errors
    /// 404 that says what the path is and what to use instead.
    pub fn check(method: &str, path: &str) -> Result<()> {
        let below = path.strip_prefix("/v1").unwrap_or_default();
        match Self::find(method, below) {
            None => Ok(()),
            Some(entry) => Err(entry.error()),
        }
    }

    /// Returns 404: what the path is, and what to use instead.
    #[must_use]
    pub fn error(&self) -> Error {
        Error::not_offered(format!("Not offered here: {}. {}", self.name, self.advice))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_offered_is_named_with_an_alternative() {
        for entry in NOT_OFFERED {
            let error = entry.error();
            assert_eq!(
                (error.status.as_u16(), error.code),
                (404, Some("not_offered"))
            );
            assert!(error.message.contains(entry.name), "{entry:?}");
            assert!(entry.advice.ends_with('.') && !entry.name.ends_with('.'));
            let method = entry.method.unwrap_or("PUT");
            let path = entry.path.replace(['{', '}'], "");
            assert!(
                NotOffered::find(method, &path).is_some_and(|found| std::ptr::eq(found, entry)),
                "{entry:?} is behind another entry"
            );
        }
    }

    #[test]
    fn only_known_operations_are_named() {
        let code = |method: &str, path: &str| NotOffered::check(method, path).err()?.code;
        for (method, path) in [
            ("GET", "/v1/realtime"),
            ("POST", "/v1/realtime/client_secrets"),
            ("DELETE", "/v1/models/ft:gpt-4.1:org::id"),
            ("PATCH", "/v1/threads/thread_1/runs"),
        ] {
            assert_eq!(code(method, path), Some("not_offered"), "{path}");
        }
        for (method, path) in [
            ("GET", "/realtime"),
            ("GET", "/v1/realtimes"),
            ("GET", "/v1/models/m"),
            ("DELETE", "/v1/models/"),
            ("POST", "/v1/unknown"),
            ("POST", "/v1"),
        ] {
            assert_eq!(code(method, path), None, "{path}");
        }
    }
}
