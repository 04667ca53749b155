//! The reference table of all commands in `docs/commands.md`.

use super::command::{ApiCommand, CommandFlag, FlagLocation, ROOT, ResponseShape};
use super::document::Api;

/// Returns a table of all commands: their flags, and the request that each makes.
#[must_use]
pub fn table() -> String {
    let head = "| Command | M | Positional | Flags | HTTP |\n|---|---|---|---|---|\n".to_owned();
    let commands = Api::get().commands();
    commands
        .iter()
        .fold(head, |table, command| table + &row(command))
}

fn row(command: &ApiCommand) -> String {
    let resource = command
        .operation
        .resource
        .trim_start_matches(ROOT)
        .trim_start_matches(':');
    let marks = [
        ("A", command.response == ResponseShape::Items),
        ("J", command.operation.body.is_some()),
        ("X", command.operation.is_extension),
    ];
    let marks: String = marks
        .iter()
        .filter(|(_, is_set)| *is_set)
        .map(|(mark, _)| *mark)
        .collect();
    let positionals: Vec<_> = command
        .path_flags()
        .map(|flag| format!("<{}>", flag.name))
        .collect();
    let positionals = match positionals.join(" ") {
        none if none.is_empty() => none,
        some => format!("`{some}`"),
    };
    let flags: Vec<_> = command.flags.iter().map(cell).collect();
    format!(
        "| `{resource} {}` | {marks} | {positionals} | {} | {} `{}` |\n",
        command.operation.verb,
        flags.join(", "),
        command.operation.method,
        command.operation.path
    )
}

fn cell(flag: &CommandFlag) -> String {
    let star = if flag.field.is_required { "*" } else { "" };
    let location = match flag.location {
        FlagLocation::Path => 'p',
        FlagLocation::Query => 'q',
        FlagLocation::Body => 'b',
    };
    let key = if flag.name.replace('-', "_") == flag.field.key {
        String::new()
    } else {
        format!(":{}", flag.field.key)
    };
    let nested: Vec<_> = flag
        .nested()
        .map(|(_, field)| {
            format!(
                ".{} {}",
                field.key.replace('_', "-"),
                field.value_type.name()
            )
        })
        .collect();
    let nested = match nested.join(", ") {
        none if none.is_empty() => none,
        some => format!(" {{{some}}}"),
    };
    format!(
        "--{}{star} {} ({location}{key}){nested}",
        flag.name,
        flag.field.value_type.name()
    )
}
