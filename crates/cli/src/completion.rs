//! Completion: a script for each shell, which asks this program for candidates.
//!
//! The scripts are not clap's: shells take the colon in a resource's name for the end of a word.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Command, ValueHint};
use clap_complete::engine;

use crate::command_tree::{self, COMPLETE};
use crate::failure::Failure;
use crate::program::{Program, print};

/// The exit code that asks the shell to complete the names of files.
const COMPLETE_FILES_STATUS: u8 = 10;
/// The exit code that says that there is nothing to complete.
const NO_COMPLETION_STATUS: u8 = 11;

/// Returns the completion script for a shell.
pub fn script(program: &str, shell: &str) -> String {
    let script = match shell {
        "zsh" => include_str!("completion/zsh.sh"),
        "fish" => include_str!("completion/fish.fish"),
        "powershell" | "pwsh" => include_str!("completion/powershell.ps1"),
        _ => include_str!("completion/bash.sh"),
    };
    script.replace("PROGRAM", program)
}

/// Prints the candidates for the last of `words`, in the format of the shell that `COMPLETION_STYLE` names.
pub fn candidates(program: &Program, words: &[String]) -> Result<ExitCode, Failure> {
    let (current, typed) = match words.split_last() {
        Some((current, typed)) => (current.as_str(), typed),
        None => ("", &[][..]),
    };
    let mut tree = tree(program, typed);
    if current.starts_with('@') || is_file_expected(&mut tree, typed) {
        return Ok(ExitCode::from(COMPLETE_FILES_STATUS));
    }
    let line = [program.name.clone()].into_iter();
    let line = line
        .chain(typed.iter().cloned())
        .chain([current.to_owned()]);
    let line: Vec<OsString> = line.map(OsString::from).collect();
    let last = line.len() - 1;
    let candidates = engine::complete(&mut tree, line, last, None).unwrap_or_default();
    let style = std::env::var("COMPLETION_STYLE").unwrap_or_default();
    let mut shown = BTreeSet::new();
    for candidate in candidates {
        let word = candidate.get_value().to_string_lossy();
        // Flags are offered when one is begun, and resources by their first part until a colon is typed.
        if word.starts_with('-') && !current.starts_with('-') {
            continue;
        }
        let help = candidate.get_help().map(ToString::to_string);
        shown.insert(match word.split_once(':') {
            Some((first, _)) if !current.contains(':') => {
                line_of(&style, current, first, "The Administration API")
            }
            _ => line_of(&style, current, &word, &help.unwrap_or_default()),
        });
    }
    if shown.is_empty() {
        return Ok(ExitCode::from(NO_COMPLETION_STATUS));
    }
    print(&shown.into_iter().collect::<String>())
}

fn line_of(style: &str, current: &str, word: &str, help: &str) -> String {
    match style {
        "zsh" => format!("{}:{help}\n", word.replace(':', "\\:")),
        "fish" | "powershell" => format!("{word}\t{help}\n"),
        // bash takes the text behind a colon for a word of its own.
        _ => {
            let known = current.rfind(':').map_or(0, |colon| colon + 1);
            format!("{}\n", word.get(known..).unwrap_or_default())
        }
    }
}

/// Returns all commands of the program. Only the resource among the typed words has its verbs: the engine builds the
/// whole tree.
fn tree(program: &Program, typed: &[String]) -> Command {
    let ours = command_tree::root(&program.name);
    let resources = ours
        .get_subcommands()
        .filter(|one| one.get_name() != COMPLETE);
    let resources: Vec<Command> = resources
        .map(|resource| {
            let resource = resource.clone().defer(std::convert::identity);
            if typed.iter().any(|word| word == resource.get_name())
                && resource.get_name().contains(':')
            {
                command_tree::with_verbs(resource).mut_subcommands(unhidden)
            } else {
                resource
            }
        })
        .map(unhidden)
        .collect();
    let globals: Vec<_> = ours.get_arguments().cloned().collect();
    let others = program
        .others
        .clone()
        .unwrap_or_else(|| Command::new(program.name.clone()));
    others
        .disable_help_flag(true)
        .disable_help_subcommand(true)
        .disable_version_flag(true)
        .args(globals)
        .subcommands(resources)
}

/// Shows the global flags that help does not repeat.
fn unhidden(command: Command) -> Command {
    command.mut_args(|arg| {
        let is_flag = arg.get_long().is_some();
        arg.hide(!is_flag)
    })
}

/// Returns true if the last typed word is a flag whose value is a file.
fn is_file_expected(tree: &mut Command, typed: &[String]) -> bool {
    let name = typed.last().and_then(|word| word.strip_prefix("--"));
    let mut flags = tree.get_arguments();
    flags.any(|arg| {
        arg.get_long() == name && name.is_some() && arg.get_value_hint() == ValueHint::FilePath
    })
}
