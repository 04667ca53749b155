//! The hint that follows a refusal.

use crate::api::{Api, ApiCommand, Credential};
use crate::parsed_args::ParsedArgs;
use crate::refused::Refused;
use crate::usage_error::question;

/// The number of letters of a word that make room for one typing error.
const MIN_LETTERS_PER_TYPO: usize = 3;

/// Returns a hint at what to try next, if there is one for this refusal.
pub fn hint(
    program: &str,
    command: &ApiCommand,
    arguments: &ParsedArgs,
    refused: &Refused,
) -> Option<String> {
    match refused.status {
        401 if command.operation.credential == Credential::AdminOrProjectKey => Some(
            "give an admin key or a key of the project: OPENAI_ADMIN_KEY or OPENAI_API_KEY"
                .to_owned(),
        ),
        401 => Some("give an admin key: OPENAI_ADMIN_KEY, or --admin-api-key".to_owned()),
        404 => list(program, command),
        429 => Some("try again later".to_owned()),
        500.. => Some("the server's log tells more under this request id".to_owned()),
        _ => accepted_values(program, command, arguments, refused.param()?),
    }
}

/// Names the command that lists what a path may name: items of the resource, or of the one above if the path names none
/// of it.
fn list(program: &str, command: &ApiCommand) -> Option<String> {
    let has_no_id =
        command.operation.verb.starts_with("list") || command.operation.verb == "create";
    let resource = if has_no_id {
        command.operation.resource.rsplit_once(':')?.0
    } else {
        &command.operation.resource
    };
    let resources = Api::get().resources();
    let mut verbs = resources
        .get(resource)?
        .iter()
        .map(|operation| &operation.verb);
    let verb = verbs.find(|verb| verb.starts_with("list"))?;
    Some(format!("'{program} {resource} {verb}' shows what there is"))
}

/// Names the values that are accepted by the field that the server objects to.
fn accepted_values(
    program: &str,
    command: &ApiCommand,
    arguments: &ParsedArgs,
    param: &str,
) -> Option<String> {
    let key = param.split(['[', '.']).next()?;
    let flags = &command.flags;
    let position = flags.iter().position(|flag| flag.field.key == key)?;
    let flag = &flags[position];
    if flag.field.values.is_empty() {
        return Some(format!(
            "'{program} {} --help' tells about --{}",
            command.name(),
            flag.name
        ));
    }
    let accepted = || flag.field.values.iter().map(String::as_str);
    let mut given = arguments.of_flag(position);
    let like = given.find_map(|given| nearest(&given.text, accepted()));
    Some(format!(
        "--{} takes {}{}",
        flag.name,
        accepted().collect::<Vec<_>>().join(", "),
        question(like)
    ))
}

/// Returns the word of `known` that `word` is most likely a misspelling of.
fn nearest<'known>(
    word: &str,
    known: impl IntoIterator<Item = &'known str>,
) -> Option<&'known str> {
    known
        .into_iter()
        .map(|other| (strsim::damerau_levenshtein(word, other), other))
        .filter(|(typos, other)| typos * MIN_LETTERS_PER_TYPO <= other.len().max(word.len()))
        .min_by_key(|(typos, _)| *typos)
        .map(|(_, other)| other)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn misspelling_finds_its_word() {
        let verbs = ["list", "retrieve", "create", "update", "delete"];
        assert_eq!(nearest("lsit", verbs), Some("list"));
        assert_eq!(nearest("retreive", verbs), Some("retrieve"));
        assert_eq!(nearest("explode", verbs), None);
    }
}
