//! Completion: a script for each shell, which asks this program for candidates.

use std::process::ExitCode;

use crate::arguments::{Token, Words, names};
use crate::command::Command;
use crate::failure::Failure;
use crate::globals::{GLOBALS, Globals};
use crate::help;
use crate::nearest::{nearest, question};
use crate::registry::Registry;
use crate::run::{Program, print};

/// The exit code that asks the shell for the names of files.
const FILES: u8 = 10;
/// The exit code that says that there is nothing to complete.
const NOTHING: u8 = 11;

/// The shells that there is a script for.
const SCRIPTS: [(&str, &str); 5] = [
    ("bash", include_str!("completion/bash.sh")),
    ("zsh", include_str!("completion/zsh.sh")),
    ("fish", include_str!("completion/fish.fish")),
    ("powershell", include_str!("completion/powershell.ps1")),
    ("pwsh", include_str!("completion/powershell.ps1")),
];

/// The script for the shell that `words` name.
pub fn script(program: &Program, mut words: Words) -> Result<String, Failure> {
    let known = SCRIPTS.map(|(shell, _)| shell);
    let shell = words.leading(&mut Globals::default())?.unwrap_or_default();
    let found = SCRIPTS.iter().find(|(name, _)| *name == shell);
    let (_, script) = found.ok_or_else(|| {
        let like = question(nearest(&shell, known));
        Failure::Words(format!(
            "completion is there for bash, zsh, fish and powershell, not for '{shell}'{like}"
        ))
    })?;
    Ok(script.replace("PROGRAM", &program.name))
}

/// What the word under the cursor may become.
enum Candidates {
    /// One of these, each with what it is.
    Words(Vec<(String, String)>),
    /// The name of a file.
    Files,
    /// Anything.
    Nothing,
}

/// Prints the candidates for the last of `words`, in the way of the shell that `COMPLETION_STYLE` names.
pub fn candidates(program: &Program, mut words: Words) -> Result<ExitCode, Failure> {
    let mut typed = Vec::new();
    let mut flags_ended = false;
    // The shell's words stand behind `--`, and so are plain ones.
    while let Some(token) = words.next(&mut flags_ended) {
        if let Token::Word(word) = token {
            typed.push(word);
        }
    }
    let current = typed.pop().unwrap_or_default();
    let style = std::env::var("COMPLETION_STYLE").unwrap_or_default();
    match complete(program, &typed, &current) {
        Candidates::Files => Ok(ExitCode::from(FILES)),
        Candidates::Nothing => Ok(ExitCode::from(NOTHING)),
        Candidates::Words(candidates) => {
            let matching = candidates
                .iter()
                .filter(|(word, _)| word.starts_with(&current));
            let lines: String = matching
                .map(|(word, about)| line(&style, &current, word, about))
                .collect();
            print(&lines)
        }
    }
}

fn line(style: &str, current: &str, word: &str, about: &str) -> String {
    match style {
        "zsh" => format!("{}:{about}\n", word.replace(':', "\\:")),
        "fish" | "powershell" => format!("{word}\t{about}\n"),
        // bash takes what stands behind a colon for a word of its own.
        _ => {
            let known = current.rfind(':').map_or(0, |colon| colon + 1);
            format!("{}\n", &word[known..])
        }
    }
}

fn complete(program: &Program, typed: &[String], current: &str) -> Candidates {
    if current.starts_with('@') {
        return Candidates::Files;
    }
    let mut words = Words::new(typed.iter().cloned());
    let mut globals = Globals::default();
    let registry = Registry::new();
    let resource = match words.leading(&mut globals) {
        // A flag without its value, or one that there is not.
        Err(_) => return after_flag(typed, None),
        Ok(None) if current.starts_with('-') => return Candidates::Words(global_flags()),
        Ok(None) => return Candidates::Words(first_words(program, &registry, current)),
        Ok(Some(resource)) => resource,
    };
    let resources = registry.resources();
    let Some(verbs) = resources.get(&resource) else {
        return other(program, &resource, typed);
    };
    let verb = match words.leading(&mut globals) {
        Err(_) => return after_flag(typed, None),
        Ok(None) if current.starts_with('-') => return Candidates::Words(global_flags()),
        Ok(None) => {
            let verbs = verbs
                .iter()
                .map(|(verb, about)| ((*verb).to_owned(), (*about).to_owned()));
            return Candidates::Words(verbs.collect());
        }
        Ok(Some(verb)) => verb,
    };
    let Ok(command) = registry.find(&program.name, &resource, &verb) else {
        return Candidates::Nothing;
    };
    match after_flag(typed, Some(&command)) {
        Candidates::Nothing if current.starts_with('-') => Candidates::Words(flags(&command)),
        other => other,
    }
}

/// The values of the flag that stands before the cursor, if there is one that wants a value.
fn after_flag(typed: &[String], command: Option<&Command>) -> Candidates {
    let Some(name) = typed.last().and_then(|word| word.strip_prefix("--")) else {
        return Candidates::Nothing;
    };
    let own = command.and_then(|command| command.flags.iter().find(|flag| flag.name == name));
    if let Some(flag) = own {
        let words: Vec<_> = flag
            .field
            .values
            .iter()
            .map(|value| (value.clone(), String::new()))
            .collect();
        return if words.is_empty() {
            Candidates::Nothing
        } else {
            Candidates::Words(words)
        };
    }
    match name {
        "format" | "format-error" => {
            let names = ["auto", "explore", "json", "jsonl", "pretty", "raw", "yaml"]
                .into_iter()
                .map(str::to_owned);
            Candidates::Words(names.map(|name| (name, String::new())).collect())
        }
        "mtls-client-cert-file" | "mtls-client-key-file" => Candidates::Files,
        _ => Candidates::Nothing,
    }
}

fn flags(command: &Command) -> Vec<(String, String)> {
    let about = |name: &str| {
        let flag = command.flags.iter().find(|flag| flag.name == name);
        flag.map_or_else(String::new, help::about)
    };
    let own = names(command)
        .into_iter()
        .map(|name| (format!("--{name}"), about(&name)));
    own.chain(global_flags()).collect()
}

fn global_flags() -> Vec<(String, String)> {
    let one =
        |global: &crate::globals::Global| (format!("--{}", global.name), global.about.to_owned());
    GLOBALS.iter().map(one).collect()
}

/// All resources once a colon is typed; before it, their first part and the program's other commands.
fn first_words(program: &Program, registry: &Registry, current: &str) -> Vec<(String, String)> {
    if current.contains(':') {
        let resources = registry.resources().into_keys();
        return resources
            .map(|resource| (resource, String::new()))
            .collect();
    }
    let ours = [
        ("admin", "The Administration API"),
        ("completion", "Completion for a shell"),
        ("manpages", "Writes the manual"),
    ];
    let ours = ours.map(|(word, about)| (word.to_owned(), about.to_owned()));
    let others = program
        .others
        .iter()
        .flat_map(clap::Command::get_subcommands);
    let others = others.filter(|other| !other.is_hide_set()).map(described);
    ours.into_iter().chain(others).collect()
}

/// The words below one of the program's other commands.
fn other(program: &Program, first: &str, typed: &[String]) -> Candidates {
    if first == "completion" {
        let shells = SCRIPTS
            .iter()
            .map(|(shell, _)| ((*shell).to_owned(), String::new()));
        return Candidates::Words(shells.take(4).collect());
    }
    let mut command = program.others.as_ref();
    for word in typed.iter().filter(|word| !word.starts_with('-')) {
        command = command
            .and_then(|command| command.find_subcommand(word))
            .or(command);
    }
    let Some(command) = command.filter(|command| command.get_name() != program.name) else {
        return Candidates::Nothing;
    };
    let flags = command.get_arguments().filter_map(|argument| {
        let about = argument.get_help().map(ToString::to_string);
        Some((
            format!("--{}", argument.get_long()?),
            about.unwrap_or_default(),
        ))
    });
    Candidates::Words(
        command
            .get_subcommands()
            .map(described)
            .chain(flags)
            .collect(),
    )
}

fn described(command: &clap::Command) -> (String, String) {
    let about = command.get_about().map(ToString::to_string);
    (command.get_name().to_owned(), about.unwrap_or_default())
}
