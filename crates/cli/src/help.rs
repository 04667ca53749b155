//! The help of the program, of a resource and of a command.

use clap::Command;

use crate::api::{Api, ApiCommand, Credential, ROOT, example};
use crate::command_tree;

/// Returns the help of the program: every resource, and the flags of every command.
pub fn program(name: &str) -> String {
    let more = format!(
        "'{name} RESOURCE --help' shows the verbs of a resource, \
         '{name} RESOURCE VERB --help' the flags of a command, with an example."
    );
    rendered(command_tree::root(name).after_help(more))
}

/// Returns the help of a resource: its verbs, and the resources below it.
pub fn resource(program: &str, resource: &str) -> String {
    let resources = Api::get().resources();
    let below = resources.keys();
    let below: Vec<_> = below
        .filter(|other| other.starts_with(&format!("{resource}:")))
        .map(|other| format!("  {other}\n"))
        .collect();
    let below = if below.is_empty() {
        String::new()
    } else {
        format!("Resources below:\n{}\n", below.concat())
    };
    let operations = resources.get(resource).map_or(&[][..], Vec::as_slice);
    let command = command_tree::resource(resource, operations)
        .about(None::<&str>)
        .bin_name(format!("{program} {resource}"))
        .after_help(format!(
            "{below}'{program} {resource} VERB --help' shows the flags of a command."
        ));
    rendered(command_tree::with_verbs(command))
}

/// Returns the help of a command: its flags, notes and an example.
pub fn command(program: &str, command: &ApiCommand) -> String {
    rendered(verb(program, command))
}

/// Returns all help that there is, one after another.
#[must_use]
pub fn everything(name: &str) -> String {
    let api = Api::get();
    let resources = api.resources().into_keys();
    let resources = resources.map(|words| (words.to_owned(), resource(name, words)));
    let commands = api.commands().into_iter();
    let commands = commands.map(|one| (one.name(), command(name, &one)));
    let sections = resources
        .chain(commands)
        .map(|(words, help)| format!("\n=== {name} {words} --help ===\n{help}"));
    program(name) + &sections.collect::<String>()
}

/// Returns the clap command of a verb with its notes.
pub fn verb(program: &str, command: &ApiCommand) -> Command {
    command_tree::verb(command)
        .bin_name(format!("{program} {}", command.name()))
        .after_help(format!(
            "{}\nExample:\n  {}",
            notes(program, command),
            example(program, command)
        ))
}

fn notes(program: &str, command: &ApiCommand) -> String {
    let mut notes = String::new();
    if command.operation.is_extension {
        notes += "An extension of orgplane: other servers of this API do not have it.\n";
    }
    if command.operation.body.is_some() {
        notes += "The body can be piped in as YAML or JSON, by the API's names; flags win.\n";
    }
    notes += &match (&command.operation.permission, command.operation.credential) {
        (None, _) => "Needs no key.\n".to_owned(),
        (Some(permission), Credential::AdminOrProjectKey) => {
            format!("Needs {permission}; a project key (--api-key) can have it too.\n")
        }
        (Some(permission), _) => format!("Needs {permission}.\n"),
    };
    notes + &format!("Flags of every command: {program} {ROOT} --help\n")
}

fn rendered(mut command: Command) -> String {
    command.render_help().to_string()
}
