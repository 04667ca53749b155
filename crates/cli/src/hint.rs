//! What the user may try next, after a refusal.

use admin::operation::Effect;

use crate::arguments::Arguments;
use crate::command::Command;
use crate::nearest::{nearest, question};
use crate::refused::Refused;
use crate::registry::Registry;

/// A hint, when there is one to give.
pub fn hint(
    program: &str,
    command: &Command,
    arguments: &Arguments,
    refused: &Refused,
) -> Option<String> {
    match refused.status {
        401 if command.effect == Effect::Ingest => Some(
            "give an admin key or a key of the project: OPENAI_ADMIN_KEY or OPENAI_API_KEY"
                .to_owned(),
        ),
        401 => Some("give an admin key: OPENAI_ADMIN_KEY, or --admin-api-key".to_owned()),
        404 => list(program, command),
        429 => Some("try again later".to_owned()),
        500.. => Some("the server's log tells more under this request id".to_owned()),
        _ => values(program, command, arguments, refused.param()?),
    }
}

/// The command that lists what a path may name: items of the resource, or of the one above for what has no id yet.
fn list(program: &str, command: &Command) -> Option<String> {
    let has_no_id = command.verb.starts_with("list") || command.verb == "create";
    let resource = if has_no_id {
        command.resource.rsplit_once(':')?.0
    } else {
        &command.resource
    };
    let resources = Registry::new().resources();
    let mut verbs = resources.get(resource)?.iter().map(|(verb, _)| verb);
    let verb = verbs.find(|verb| verb.starts_with("list"))?;
    Some(format!("'{program} {resource} {verb}' shows what there is"))
}

/// The values that the field takes that the server objects to.
fn values(program: &str, command: &Command, arguments: &Arguments, param: &str) -> Option<String> {
    let key = param.split(['[', '.']).next()?;
    let flags = &command.flags;
    let position = flags.iter().position(|flag| flag.field.key == key)?;
    let flag = &flags[position];
    if flag.field.values.is_empty() {
        return Some(format!(
            "'{program} {} --help' tells about --{}",
            command.words(),
            flag.name
        ));
    }
    let known = || flag.field.values.iter().map(String::as_str);
    let given = arguments
        .given
        .iter()
        .filter(|given| given.flag == position);
    let like = given
        .filter_map(|given| nearest(&given.text, known()))
        .next();
    let known: Vec<&str> = known().collect();
    Some(format!(
        "--{} takes {}{}",
        flag.name,
        known.join(", "),
        question(like)
    ))
}
