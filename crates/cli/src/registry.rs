//! All commands: the one that was asked for, or what was probably meant.

use std::collections::BTreeMap;

use admin::operation::Operation;

use crate::command::{Answer, Command, Flag, Place, ROOT, words};
use crate::failure::Failure;
use crate::nearest::{nearest, question};

/// Every operation, by its words.
pub struct Registry(Vec<Operation>);

impl Registry {
    /// All of them.
    pub fn new() -> Self {
        Self(admin::operations())
    }

    /// Every resource with its verbs, and what each of them does.
    pub fn resources(&self) -> BTreeMap<String, Vec<(&'static str, &'static str)>> {
        let mut resources: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for operation in &self.0 {
            let (resource, verb) = words(operation);
            resources
                .entry(resource)
                .or_default()
                .push((verb, operation.about));
        }
        resources
    }

    /// Every command, in the order of their words.
    pub fn commands(&self) -> Vec<Command> {
        let mut commands: Vec<Command> = self.0.iter().map(Command::of).collect();
        commands.sort_by_key(Command::words);
        commands
    }

    /// The command with these words.
    pub fn find(&self, program: &str, resource: &str, verb: &str) -> Result<Command, Failure> {
        if is_root(resource) {
            let help = format!("'{program} {ROOT} --help' lists them");
            return Err(Failure::Words(format!(
                "'{resource}' wants a resource: {help}."
            )));
        }
        self.check(program, resource)?;
        let is_it = |operation: &&Operation| {
            let (its_resource, its_verb) = words(operation);
            its_resource == resource && its_verb == verb
        };
        let found = self.0.iter().find(is_it);
        found.map(Command::of).ok_or_else(|| {
            let verbs = self
                .0
                .iter()
                .map(words)
                .filter(|(other, _)| other == resource);
            let verbs: Vec<&str> = verbs.map(|(_, verb)| verb).collect();
            let like = nearest(verb, verbs.iter().copied())
                .map(|verb| format!("{program} {resource} {verb}"));
            let verbs = verbs.join(", ");
            Failure::Words(format!(
                "'{resource}' has no command '{verb}': there is {verbs}.{}",
                question(like.as_deref())
            ))
        })
    }

    /// Whether there is this resource.
    pub fn check(&self, program: &str, resource: &str) -> Result<(), Failure> {
        let resources = self.resources();
        if resources.contains_key(resource) || is_root(resource) {
            return Ok(());
        }
        let like = nearest(resource, resources.keys().map(String::as_str));
        let like = like.map(|resource| format!("{program} {resource}"));
        Err(Failure::Words(format!(
            "There is no command '{resource}'.{}",
            question(like.as_deref())
        )))
    }
}

/// Whether the word stands for all resources.
pub fn is_root(word: &str) -> bool {
    word == ROOT || Some(word) == ROOT.split(':').next()
}

/// A table of all commands: what they take, and the request that each makes.
#[must_use]
pub fn table() -> String {
    let head = "| Command | M | Positional | Flags | HTTP |\n|---|---|---|---|---|\n".to_owned();
    let commands = Registry::new().commands();
    commands
        .iter()
        .fold(head, |table, command| table + &row(command))
}

fn row(command: &Command) -> String {
    let resource = command
        .resource
        .trim_start_matches(ROOT)
        .trim_start_matches(':');
    let marks = [
        ("A", command.answer == Answer::Items),
        ("J", command.has_body),
        ("X", command.is_extension),
    ];
    let marks: String = marks
        .iter()
        .filter(|(_, is_set)| *is_set)
        .map(|(mark, _)| *mark)
        .collect();
    let positionals: Vec<_> = command
        .positionals()
        .map(|flag| format!("<{}>", flag.name))
        .collect();
    let positionals = match positionals.join(" ") {
        none if none.is_empty() => none,
        some => format!("`{some}`"),
    };
    let flags: Vec<_> = command.flags.iter().map(cell).collect();
    format!(
        "| `{resource} {}` | {marks} | {positionals} | {} | {} `{}` |\n",
        command.verb,
        flags.join(", "),
        command.method,
        command.path
    )
}

fn cell(flag: &Flag) -> String {
    let star = if flag.field.is_required { "*" } else { "" };
    let place = match flag.place {
        Place::Path => 'p',
        Place::Query => 'q',
        Place::Body => 'b',
    };
    let key = if flag.name.replace('-', "_") == flag.field.key {
        String::new()
    } else {
        format!(":{}", flag.field.key)
    };
    let inner: Vec<_> = flag
        .inner()
        .map(|(_, field)| format!(".{} {}", field.key.replace('_', "-"), field.type_name()))
        .collect();
    let inner = match inner.join(", ") {
        none if none.is_empty() => none,
        some => format!(" {{{some}}}"),
    };
    format!(
        "--{}{star} {} ({place}{key}){inner}",
        flag.name,
        flag.field.type_name()
    )
}
