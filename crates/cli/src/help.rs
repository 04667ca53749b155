//! What `--help` shows, at every level.

use crate::command::{Answer, Command, Flag, Place, ROOT};
use crate::example::example;
use crate::globals::{GLOBALS, Global};
use crate::registry::Registry;
use admin::operation::Effect;

/// How wide help is at most.
const WIDTH: usize = 100;
/// Where the second column begins.
const COLUMN: usize = 32;

/// The help of everything: each resource, and the flags of every command.
pub fn root(program: &str) -> String {
    let mut text = format!(
        "The Administration API from the command line.\n\nUsage: {program} {ROOT}:RESOURCE VERB [FLAGS]\n\nResources:\n"
    );
    for (resource, verbs) in Registry::new().resources() {
        let verbs: Vec<_> = verbs.iter().map(|(verb, _)| *verb).collect();
        text += &entry(&resource, &verbs.join(", "), 56);
    }
    text += "\nFlags of every command, before its words or after them:\n";
    text += &globals();
    text += &format!(
        "\nMore:\n{}{}{}",
        entry(
            &format!("{program} RESOURCE --help"),
            "The verbs of a resource",
            48
        ),
        entry(
            &format!("{program} RESOURCE VERB --help"),
            "What a command takes, with an example",
            48
        ),
        entry(
            &format!("{program} completion SHELL"),
            "Completion for bash, zsh, fish or powershell",
            48
        ),
    );
    text + &entry(
        &format!("{program} manpages --out DIR"),
        "Writes the manual",
        48,
    )
}

/// All help that there is, one after another.
#[must_use]
pub fn everything(program: &str) -> String {
    let registry = Registry::new();
    let resources = registry.resources().into_keys();
    let resources = resources.map(|name| (name.clone(), resource(program, &name)));
    let commands = registry.commands().into_iter();
    let commands = commands.map(|one| (one.words(), command(program, &one)));
    let parts = resources.chain(commands);
    let parts = parts.map(|(words, help)| format!("\n=== {program} {words} --help ===\n{help}"));
    root(program) + &parts.collect::<String>()
}

/// The help of a resource: its verbs.
pub fn resource(program: &str, resource: &str) -> String {
    let mut text = format!("Usage: {program} {resource} VERB [FLAGS]\n\nVerbs:\n");
    let resources = Registry::new().resources();
    for (verb, about) in resources.get(resource).into_iter().flatten() {
        text += &entry(verb, about, COLUMN);
    }
    let below: Vec<_> = resources
        .keys()
        .filter(|other| other.starts_with(&format!("{resource}:")))
        .collect();
    if !below.is_empty() {
        text += "\nBelow it:\n";
    }
    for other in below {
        text += &format!("  {other}\n");
    }
    text + &format!("\n'{program} {resource} VERB --help' tells what a command takes.\n")
}

/// The help of a command.
pub fn command(program: &str, command: &Command) -> String {
    let positionals: String = command
        .positionals()
        .map(|flag| format!(" <{}>", flag.name))
        .collect();
    let mut text = format!("{}\n", wrapped(command.about, 0));
    if command.is_extension {
        text += "An extension of orgplane: other servers of this API do not have it.\n";
    }
    text += &format!(
        "\nUsage: {program} {}{positionals} [FLAGS]\n",
        command.words()
    );
    let paging = command.answer == Answer::Items;
    if paging || !command.flags.is_empty() {
        text += "\nFlags (* required):\n";
    }
    for one in &command.flags {
        text += &flag(one);
    }
    if paging {
        text += &entry(
            "--max-items int",
            "How many items to show at most; all, when not given",
            COLUMN,
        );
    }
    text += &format!("\n{}", notes(program, command));
    text + &format!("\nExample:\n  {}\n", example(program, command))
}

fn notes(program: &str, command: &Command) -> String {
    let mut text = String::new();
    if command.has_body {
        text += "The body can be piped in as YAML or JSON, by the API's names; flags win.\n";
    }
    text += &match (command.effect, command.needs) {
        (Effect::Ingest, Some(needs)) => {
            format!("Needs {needs}; a project key (--api-key) can have it too.\n")
        }
        (_, Some(needs)) => format!("Needs {needs}.\n"),
        (_, None) => "Needs no key.\n".to_owned(),
    };
    text + &format!("Flags of every command: {program} {ROOT} --help\n")
}

fn flag(flag: &Flag) -> String {
    let field = &flag.field;
    let star = if field.is_required { "*" } else { "" };
    let name = format!("--{}{star} {}", flag.name, field.type_name());
    let mut text = entry(&name, &about(flag), COLUMN);
    for (name, field) in flag.inner() {
        let name = format!("  --{name} {}", field.type_name());
        text += &entry(&name, &described(&field.about, &field.values, None), COLUMN);
    }
    text
}

/// What a flag is for, with its values and its default.
pub fn about(flag: &Flag) -> String {
    let field = &flag.field;
    let about = match flag.place {
        Place::Path => "Its place is in the words too",
        _ => &field.about,
    };
    described(about, &field.values, field.default.as_deref())
}

fn described(about: &str, values: &[String], default: Option<&str>) -> String {
    let about = about.trim_end_matches('.');
    let values = match values {
        [] => String::new(),
        values => format!("one of {}", values.join(", ")),
    };
    let default = default.map_or_else(String::new, |default| format!("[{default}]"));
    let parts = [about, &values, &default];
    let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join("; ").replace("; [", " [")
}

/// The global flags, one entry each.
pub fn globals() -> String {
    let one = |global: &Global| {
        let letter = global
            .letter
            .map_or_else(String::new, |letter| format!("-{letter}, "));
        let value = global
            .value
            .map_or_else(String::new, |value| format!(" {value}"));
        let about = match global.variable {
            Some(variable) => format!("{} [{variable}]", global.about),
            None => global.about.to_owned(),
        };
        entry(&format!("{letter}--{}{value}", global.name), &about, COLUMN)
    };
    GLOBALS.iter().map(one).collect()
}

fn entry(name: &str, about: &str, column: usize) -> String {
    let name = format!("  {name}");
    let about = wrapped(about, column);
    if about.is_empty() {
        return format!("{name}\n");
    }
    if name.chars().count() + 2 > column {
        return format!("{name}\n{:column$}{about}\n", "");
    }
    format!("{name:column$}{about}\n")
}

/// The text in lines that fit, each but the first indented.
fn wrapped(text: &str, indent: usize) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is always a line");
        if !line.is_empty() && indent + line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push(word.to_owned());
        } else {
            let space = if line.is_empty() { "" } else { " " };
            *line += space;
            *line += word;
        }
    }
    lines.join(&format!("\n{:indent$}", ""))
}
