//! The clap commands, made at run time: the program, its resources, their verbs, and a flag for each field of a request.

use clap::{Arg, ArgAction, Command};
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};

use crate::api::{
    Api, ApiCommand, CommandFlag, Field, FlagLocation, Operation, ROOT, ResponseShape,
};
use crate::globals;
use crate::{scalar, value};

/// The hidden command that the shells' scripts ask for candidates.
pub const COMPLETE: &str = "__complete";
/// The clap id of words after the last path parameter.
pub const EXTRA_WORDS: &str = "extra words";
/// The clap id, and the name, of the flag that bounds the items of a list.
pub const MAX_ITEMS: &str = "max-items";

/// The shells with a completion script.
pub const SHELLS: [&str; 5] = ["bash", "zsh", "fish", "powershell", "pwsh"];

/// The width that help is wrapped at, in columns.
const MAX_HELP_COLUMNS: usize = 100;

/// Returns the command of the whole program. The verbs of a resource are made when it is parsed.
pub fn root(name: &str) -> Command {
    let resources = Api::get().resources().into_iter();
    let resources =
        resources.map(|(name, operations)| resource(name, &operations).defer(with_verbs));
    bare(name)
        .bin_name(name)
        .about("The Administration API from the command line.")
        .override_usage(format!("{name} {ROOT}:RESOURCE VERB [FLAGS]"))
        .subcommand_help_heading("Resources")
        .args(
            globals::args(&[]).map(|arg| {
                arg.help_heading("Flags of every command, before its words or after them")
            }),
        )
        .subcommands(resources)
        .subcommand(
            bare(ROOT)
                .alias("admin")
                .hide(true)
                .args(hidden_globals(&[]))
                .allow_external_subcommands(true),
        )
        .subcommand(
            bare("completion")
                .alias("@completion")
                .about("Prints the completion script for a shell")
                .arg(
                    Arg::new("shell")
                        .value_name("SHELL")
                        .required(true)
                        .value_parser(SHELLS),
                ),
        )
        .subcommand(
            bare("manpages")
                .alias("@manpages")
                .about("Writes the manual page")
                .arg(
                    Arg::new("out")
                        .long("out")
                        .short('o')
                        .value_name("DIR")
                        .required(true)
                        .value_hint(clap::ValueHint::DirPath)
                        .help("The directory that gets man1"),
                ),
        )
        .subcommand(
            bare(COMPLETE).hide(true).arg(
                Arg::new("words")
                    .num_args(0..)
                    .last(true)
                    .allow_hyphen_values(true),
            ),
        )
}

/// Returns the command of a resource, without its verbs.
pub fn resource(name: &str, operations: &[&Operation]) -> Command {
    let verbs: Vec<_> = operations
        .iter()
        .map(|operation| operation.verb.as_str())
        .collect();
    bare(name)
        .about(verbs.join(", "))
        .subcommand_value_name("VERB")
        .subcommand_help_heading("Verbs")
        .args(hidden_globals(&[]))
}

/// Adds the verbs to the command of a resource.
pub fn with_verbs(resource: Command) -> Command {
    let commands = Api::get().commands_of(resource.get_name());
    resource.subcommands(commands.iter().map(verb))
}

/// Returns the command of a verb.
pub fn verb(command: &ApiCommand) -> Command {
    let names = command.flag_names();
    let flags = command.flags.iter().enumerate();
    let words = command.path_flags().enumerate();
    let words = words.map(|(position, flag)| {
        Arg::new(word_id(position))
            .value_name(flag.name.clone())
            .help(format!("Path parameter; also a flag: --{}", flag.name))
    });
    let extra = Arg::new(EXTRA_WORDS).num_args(0..).hide(true);
    let max_items = Arg::new(MAX_ITEMS)
        .long(MAX_ITEMS)
        .value_name("int")
        .allow_hyphen_values(true)
        .value_parser(scalar::max_items)
        .help_heading("Flags")
        .help("The largest number of items to show; without it, all");
    bare(&command.operation.verb)
        .about(&command.operation.summary)
        .args(words)
        .arg(extra)
        .args(flags.flat_map(|(position, flag)| flag_args(position, flag)))
        .args((command.response == ResponseShape::Items).then_some(max_items))
        .args(hidden_globals(&names))
}

/// Returns the clap id of a word that fills a path parameter.
pub fn word_id(position: usize) -> String {
    format!("word {position}")
}

/// Returns the clap id of a flag, or of one field of its value.
pub fn flag_id(position: usize, nested: Option<usize>) -> String {
    match nested {
        None => format!("flag {position}"),
        Some(nested) => format!("flag {position} {nested}"),
    }
}

/// Returns a command without the flags that clap adds: help and version are global flags here.
fn bare(name: &str) -> Command {
    Command::new(name.to_owned())
        .disable_help_flag(true)
        .disable_help_subcommand(true)
        .disable_version_flag(true)
        .args_override_self(true)
        .term_width(MAX_HELP_COLUMNS)
}

/// Global flags are shown in the help of the program alone.
fn hidden_globals(own_names: &[String]) -> impl Iterator<Item = Arg> {
    globals::args(own_names).map(|arg| arg.hide(true))
}

fn flag_args(position: usize, flag: &CommandFlag) -> Vec<Arg> {
    let heading = if flag.field.is_required {
        "Required flags"
    } else {
        "Flags"
    };
    let whole = field_arg(flag_id(position, None), flag.name.clone(), &flag.field)
        // Help shows path parameters as words.
        .hide(flag.location == FlagLocation::Path);
    let whole = if flag.field.value_type.is_switch() {
        // A value is given with `=`, so that the word behind a switch is not taken for one.
        whole
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
    } else {
        whole
    };
    let nested = flag.nested().enumerate();
    let nested =
        nested.map(|(place, (name, field))| field_arg(flag_id(position, Some(place)), name, field));
    let args = std::iter::once(whole).chain(nested);
    args.map(|arg| arg.help_heading(heading)).collect()
}

fn field_arg(id: String, name: String, field: &Field) -> Arg {
    let value_type = field.value_type;
    let values = field.values.clone();
    let arg = Arg::new(id)
        .long(name)
        .action(ArgAction::Append)
        .value_name(value_type.name())
        .allow_hyphen_values(true)
        .value_parser(move |text: &str| value::parse(value_type, text))
        .help(description(field));
    if values.is_empty() {
        return arg;
    }
    // Candidates only: a newer server may accept other values.
    arg.add(ArgValueCandidates::new(move || {
        values.iter().map(CompletionCandidate::new).collect()
    }))
}

/// Returns the description of a field with its values and its default.
fn description(field: &Field) -> String {
    let mut parts = vec![field.description.trim_end_matches('.').to_owned()];
    if !field.values.is_empty() {
        parts.push(format!("one of {}", field.values.join(", ")));
    }
    parts.retain(|part| !part.is_empty());
    let mut text = parts.join("; ");
    if let Some(default) = &field.default {
        text += &format!(" [default: {default}]");
    }
    text
}
