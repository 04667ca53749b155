//! Operations that no page of the console runs, each with the reason.

/// Commands of operations that no page runs, each with the reason.
const UNREACHABLE: &[(&str, &str)] = &[
    (
        "invites accept",
        "An invitation is accepted on the page that its mail links to, by a person who is not signed in yet.",
    ),
    (
        "usage:events create",
        "Usage of other gateways is reported by programs, in batches.",
    ),
];

/// Commands of operations that run on a page whose address is not that of the operation, each with the path of the page.
const ELSEWHERE: &[(&str, &str)] = &[
    (
        "projects:limits-now retrieve",
        "/console/projects/{project_id}/rate_limits",
    ),
    ("roles:holders retrieve", "/console/roles/{role_id}"),
    (
        "projects:roles:holders retrieve",
        "/console/projects/{project_id}/roles/{role_id}",
    ),
    ("audit-logs verify", "/console/audit_logs"),
    ("usage unpriced", "/console/costs"),
    ("me retrieve", "/console/me"),
    ("me costs", "/console/me/usage"),
    ("me:usage completions", "/console/me/usage"),
    ("me:usage embeddings", "/console/me/usage?type=embeddings"),
    ("me:usage moderations", "/console/me/usage?type=moderations"),
    ("me:usage images", "/console/me/usage?type=images"),
    (
        "me:usage audio-speeches",
        "/console/me/usage?type=audio_speeches",
    ),
    (
        "me:usage audio-transcriptions",
        "/console/me/usage?type=audio_transcriptions",
    ),
    (
        "me:usage file-search-calls",
        "/console/me/usage?type=file_search_calls",
    ),
    (
        "me:usage web-search-calls",
        "/console/me/usage?type=web_search_calls",
    ),
    ("me:usage decisions", "/console/me/usage?type=decisions"),
];

/// Returns the commands of operations that run on a page whose address is not that of the operation, each with the path of the
/// page.
#[must_use]
pub fn operations_elsewhere() -> &'static [(&'static str, &'static str)] {
    ELSEWHERE
}

/// Returns the commands of operations that no page of the console runs, each with the reason.
#[must_use]
pub fn unreachable_operations() -> &'static [(&'static str, &'static str)] {
    UNREACHABLE
}
