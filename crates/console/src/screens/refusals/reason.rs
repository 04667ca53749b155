//! Reasons why the gateway refuses requests: what each means, and where it can be changed.

use http::Method;
use pages::Link;

use crate::context::Context;
use crate::form::humanized;

/// A reason, by the code of the error that clients get.
pub(super) struct RefusalReason {
    code: &'static str,
    title: &'static str,
    explanation: &'static str,
    /// Pages where the reason can be changed: the text of the link, and the path of the operation that the page reads.
    remedies: &'static [(&'static str, &'static str)],
}

const RATE_LIMITS: &str = "/organization/projects/{project_id}/rate_limits";
const SPEND_LIMIT: &str = "/organization/projects/{project_id}/spend_limit";
const ORGANIZATION_LIMIT: &str = "/organization/spend_limit";
const KEYS: &str = "/organization/projects/{project_id}/api_keys";
const PEOPLE: &str = "/organization/projects/{project_id}/users";
const MODELS: &str = "/organization/projects/{project_id}/model_permissions";
const TOOLS: &str = "/organization/projects/{project_id}/hosted_tool_permissions";
const TIERS: &str = "/organization/projects/{project_id}/service_tier_settings";
const RETENTION: &str = "/organization/projects/{project_id}/data_retention";
const CERTIFICATES: &str = "/organization/projects/{project_id}/certificates";
/// Part of a path that takes the id of a project.
const PROJECT: &str = "{project_id}";

const REASONS: &[RefusalReason] = &[
    RefusalReason {
        code: "rate_limit_exceeded",
        title: "Rate limit reached",
        explanation: "A model was used as often as the project may use it in a minute or a day. Requests pass again once \
                      the window has moved on; each answer says when.",
        remedies: &[("Rate limits", RATE_LIMITS)],
    },
    RefusalReason {
        code: "insufficient_quota",
        title: "Spend limit reached",
        explanation: "The requests could have cost more than this month's limit of the project or of the organization \
                      leaves. They pass again next month, or once the limit is higher.",
        remedies: &[
            ("Limit of the project", SPEND_LIMIT),
            ("Limit of the organization", ORGANIZATION_LIMIT),
        ],
    },
    RefusalReason {
        code: "insufficient_permissions",
        title: "Permission missing",
        explanation: "The key, or the person who owns it, may not use this part of the API.",
        remedies: &[("API keys", KEYS), ("People", PEOPLE)],
    },
    RefusalReason {
        code: "model_not_found",
        title: "Model unknown or not allowed",
        explanation: "The gateway does not serve the model, or the project may not use it.",
        remedies: &[("Models of the project", MODELS)],
    },
    RefusalReason {
        code: "model_not_priced",
        title: "Model without a price",
        explanation: "Under a spend limit, a model whose cost is unknown is refused. Prices are in the configuration.",
        remedies: &[("Limit of the project", SPEND_LIMIT)],
    },
    RefusalReason {
        code: "hosted_tool_not_enabled",
        title: "Hosted tool switched off",
        explanation: "The requests asked for a tool that is switched off in the project.",
        remedies: &[("Hosted tools", TOOLS)],
    },
    RefusalReason {
        code: "service_tier_not_enabled",
        title: "Service tier not enabled",
        explanation: "The requests asked for a tier that the project may not use.",
        remedies: &[("Service tiers", TIERS)],
    },
    RefusalReason {
        code: "zero_data_retention",
        title: "Nothing may be stored",
        explanation: "The requests asked to store something, and the project has zero data retention.",
        remedies: &[("Data retention", RETENTION)],
    },
    RefusalReason {
        code: "client_certificate_required",
        title: "Client certificate missing",
        explanation: "The project accepts only clients with a certificate of one of its authorities.",
        remedies: &[("Certificates", CERTIFICATES)],
    },
    RefusalReason {
        code: "upstream_unavailable",
        title: "No upstream available",
        explanation: "Every upstream that serves the model failed, or is skipped until it is healthy again.",
        remedies: &[],
    },
    RefusalReason {
        code: "overloaded",
        title: "Server overloaded",
        explanation: "The server had no room for more requests at that moment.",
        remedies: &[],
    },
    RefusalReason {
        code: "not_offered",
        title: "Not offered here",
        explanation: "The requests asked for something of the hosted service that this server does not have.",
        remedies: &[],
    },
];

fn find(code: &str) -> Option<&'static RefusalReason> {
    REASONS.iter().find(|reason| reason.code == code)
}

/// Returns the words for a code.
pub(crate) fn title(code: &str) -> String {
    find(code).map_or_else(|| humanized(code), |reason| reason.title.to_owned())
}

/// Returns what a code means.
pub(super) fn explanation(code: &str) -> &'static str {
    find(code).map_or(
        "The requests were not valid. The answer to the client says what was wrong.",
        |reason| reason.explanation,
    )
}

/// Returns links to the pages where the reason can be changed for a project, as far as the visitor may see them.
pub(super) fn remedies(
    context: &Context<'_>,
    code: &str,
    project: &str,
) -> Vec<(&'static str, String)> {
    let all = find(code).map_or(&[][..], |reason| reason.remedies);
    let is_readable =
        |(_, path): &&(&'static str, &'static str)| context.missing(&Method::GET, path).is_none();
    let link = |(label, path): &(&'static str, &'static str)| {
        let path = path.trim_start_matches("/organization");
        let segments = path.split('/').filter(|segment| !segment.is_empty());
        let link = segments.fold(Link::new(["console"]), |link, segment| {
            link.segment(if segment == PROJECT { project } else { segment })
        });
        (*label, link.to_string())
    };
    all.iter().filter(is_readable).map(link).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Registry;

    #[test]
    fn every_remedy_is_a_page() {
        let registry = Registry::new();
        for reason in REASONS {
            for (label, path) in reason.remedies {
                let known = registry.find(&Method::GET, path);
                assert!(known.is_some() && !label.is_empty(), "{path}");
            }
        }
    }

    #[test]
    fn an_unknown_code_is_shown_in_words() {
        assert_eq!(title("invalid_json"), "Invalid json");
        assert!(explanation("invalid_json").contains("not valid"));
        assert_eq!(title("rate_limit_exceeded"), "Rate limit reached");
    }
}
