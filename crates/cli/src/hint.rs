//! What the user may try next, after a refusal.

use admin::operation::Effect;

use crate::arguments::Arguments;
use crate::command::Command;
use crate::nearest::{nearest, question};
use crate::refused::Refused;

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
        403 => Some("the key may not do this; its owner's role decides what it may".to_owned()),
        404 => Some(format!(
            "'{program} {} list' shows what there is, if it can be listed",
            command.resource
        )),
        429 => Some("it was tried three times; try again later".to_owned()),
        500.. => Some("it was tried three times; the server's log has the request id".to_owned()),
        _ => values(command, arguments, refused.param()?),
    }
}

/// The values that the field takes that the server objects to.
fn values(command: &Command, arguments: &Arguments, param: &str) -> Option<String> {
    let key = param.split(['[', '.']).next()?;
    let flags = &command.flags;
    let position = flags.iter().position(|flag| flag.field.key == key)?;
    let flag = &flags[position];
    if flag.field.values.is_empty() {
        return Some(format!(
            "'{program_words} --help' tells about --{}",
            flag.name,
            program_words = command.words()
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
