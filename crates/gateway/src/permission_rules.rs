//! The permission that a request requires, by its method and path.

use base::{Error, Permission as P, Permission, Result, is_at_or_below};
use http::Method;
use http::request::Parts;

/// The permissions that requests at a path, and below it, require.
pub(crate) struct PermissionRule {
    /// Pattern of the path below `/v1`.
    pub(crate) path: &'static str,
    /// Permission for `GET`.
    pub(crate) read: Permission,
    /// Permission for every other method.
    pub(crate) write: Permission,
}

/// Returns a rule of which both permissions are the same.
const fn one(path: &'static str, permission: Permission) -> PermissionRule {
    PermissionRule {
        path,
        read: permission,
        write: permission,
    }
}

/// Returns a rule of two permissions.
const fn two(path: &'static str, read: Permission, write: Permission) -> PermissionRule {
    PermissionRule { path, read, write }
}

/// The rules of every path. The first one that matches decides; a path without a rule cannot be requested.
pub(crate) static RULES: &[PermissionRule] = &[
    one("/chat/completions", P::ChatCompletionsRequest),
    two(
        "/responses/{response_id}",
        P::ResponsesRead,
        P::ResponsesWrite,
    ),
    // GET opens a WebSocket, which creates responses.
    one("/responses", P::ResponsesWrite),
    one("/embeddings", P::EmbeddingsRequest),
    one("/completions", P::ModelRequest),
    one("/messages", P::ModelRequest),
    one("/decisions", P::ModelRequest),
    one("/moderations", P::ModerationsRequest),
    one("/images", P::ImagesRequest),
    one("/audio", P::AudioRequest),
    one("/models", P::ModelRead),
    two("/files", P::FilesRead, P::FilesWrite),
    two("/uploads", P::UploadsRead, P::UploadsWrite),
    two("/batches", P::BatchesRead, P::BatchesWrite),
    // A search changes nothing.
    one(
        "/vector_stores/{vector_store_id}/search",
        P::VectorStoresRead,
    ),
    two("/vector_stores", P::VectorStoresRead, P::VectorStoresWrite),
    two(
        "/conversations",
        P::ConversationsRead,
        P::ConversationsWrite,
    ),
    two("/containers", P::ContainersRead, P::ContainersWrite),
];

/// Returns the permission that a request with this method and path, below `/v1`, requires; `None` if no rule matches.
pub(crate) fn permission_at(method: &Method, path: &str) -> Option<Permission> {
    let mut rules = RULES.iter();
    let rule = rules.find(|rule| is_at_or_below(path, rule.path))?;
    Some(match *method {
        Method::GET => rule.read,
        _ => rule.write,
    })
}

/// Returns the permission that a request requires.
///
/// # Errors
/// 404: no rule matches.
pub(crate) fn permission_of(head: &Parts) -> Result<Permission> {
    let path = head.uri.path();
    let below = path.strip_prefix("/v1");
    below
        .and_then(|below| permission_at(&head.method, below))
        .ok_or_else(|| Error::unknown_path(path))
}

#[cfg(test)]
mod tests;
