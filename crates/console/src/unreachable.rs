//! Operations that no page of the console runs, each with the reason.

/// Commands of operations that no page runs, each with the reason.
const UNREACHABLE: &[(&str, &str)] = &[
    (
        "invites accept",
        "An invitation is accepted on the page that its mail links to, by a person who is not signed in yet.",
    ),
    (
        "usage events create",
        "Usage of other gateways is reported by programs, in batches.",
    ),
];

/// Returns the commands of operations that no page of the console runs, each with the reason.
#[must_use]
pub fn unreachable_operations() -> &'static [(&'static str, &'static str)] {
    UNREACHABLE
}
