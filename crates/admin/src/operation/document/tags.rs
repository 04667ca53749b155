//! Tags: one for each resource. Client generators make a module of each.

use serde_json::{Value as Json, json};

use crate::operation::Operation;

/// Returns the name of the operation's resource, derived from its command: `Projects: service accounts`.
pub(super) fn tag(operation: &Operation) -> String {
    let (nouns, _) = operation
        .command
        .rsplit_once(' ')
        .unwrap_or((operation.command, ""));
    let name = nouns.replace('-', " ").replace(':', ": ");
    let mut letters = name.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

/// Returns the document's list of tags, in the order of the operations.
pub(super) fn tags(operations: &[Operation]) -> Vec<Json> {
    let mut tags: Vec<(String, &'static str)> = Vec::new();
    for operation in operations {
        let name = tag(operation);
        match tags.iter_mut().find(|(known, _)| *known == name) {
            Some((_, path)) if operation.path.len() < path.len() => *path = operation.path,
            Some(_) => {}
            None => tags.push((name, operation.path)),
        }
    }
    let shown = |(name, path)| json!({ "name": name, "description": format!("`{path}` and what is below it.") });
    tags.into_iter().map(shown).collect()
}
