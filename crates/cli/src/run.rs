//! Runs a command line.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{ArgMatches, Command};

use crate::api::{Api, ApiCommand, Credential, ROOT, ResponseShape};
use crate::batches::{SentBatches, batches};
use crate::client::{Client, ClientOptions};
use crate::command_tree::{self, COMPLETE};
use crate::failure::Failure;
use crate::globals::{self, Globals};
use crate::output::{Format, show_items, show_one};
use crate::pages::Items;
use crate::parsed_args::ParsedArgs;
use crate::program::{Program, print, write_to_stderr};
use crate::refused::{Refused, accepted};
use crate::usage_error::usage_error;
use crate::{completion, help, hint, manual, request};

/// Returns true if the first word that is no global flag is a command of this crate.
#[must_use]
pub fn takes(words: &[OsString]) -> bool {
    let first_word = Command::new("first word")
        .no_binary_name(true)
        .disable_help_flag(true)
        .args_override_self(true)
        .args(globals::args(&[]))
        .allow_external_subcommands(true);
    let Ok(matches) = first_word.try_get_matches_from(double_dashed(words.iter().cloned())) else {
        return false;
    };
    matches.subcommand_name().is_some_and(|word| {
        let is_ours = ["completion", "manpages", COMPLETE, "admin", ROOT].contains(&word);
        is_ours || word.starts_with('@') || word.starts_with("admin:")
    })
}

/// Runs the command line that follows the program's name. Returns 0 if it is done, 1 if it failed, 2 if its words are
/// wrong.
#[must_use]
pub fn run(program: &Program, words: impl IntoIterator<Item = OsString>) -> ExitCode {
    match execute(program, words) {
        Ok(code) => code,
        Err(failure) => {
            let text = match &failure {
                Failure::Usage(text) => text.clone(),
                Failure::Runtime(error) => format!("{error:#}"),
            };
            write_to_stderr(&format!("{}: {text}", program.name));
            failure.exit_code()
        }
    }
}

fn execute(
    program: &Program,
    words: impl IntoIterator<Item = OsString>,
) -> Result<ExitCode, Failure> {
    let name = &program.name;
    let tree = command_tree::root(name).no_binary_name(true);
    let matches = tree
        .try_get_matches_from(double_dashed(words))
        .map_err(|error| usage_error(name, &error))?;
    let mut globals = Globals::default();
    globals.add(&matches);
    let Some((resource, of_resource)) = matches.subcommand() else {
        return print(&if globals.is_on("version") {
            format!("{name} {}\n", program.version)
        } else {
            help::program(name)
        });
    };
    let word = |id| of_resource.get_one::<String>(id).map_or("", String::as_str);
    match resource {
        "completion" => return print(&completion::script(name, word("shell"))),
        "manpages" => return manual::write(program, word("out")),
        COMPLETE => {
            let words = of_resource.get_many("words").into_iter().flatten().cloned();
            return completion::candidates(program, &words.collect::<Vec<_>>());
        }
        _ => globals.add(of_resource),
    }
    if globals.is_on("version") {
        return print(&format!("{name} {}\n", program.version));
    }
    match of_resource.subcommand() {
        None if resource == ROOT => print(&help::program(name)),
        None => print(&help::resource(name, resource)),
        Some(_) if resource == ROOT => Err(Failure::Usage(format!(
            "'{ROOT}' wants a resource: '{name} {ROOT} --help' lists them."
        ))),
        Some((verb, of_verb)) => {
            globals.add(of_verb);
            run_verb(program, resource, verb, of_verb, &globals)
        }
    }
}

fn run_verb(
    program: &Program,
    resource: &str,
    verb: &str,
    matches: &ArgMatches,
    globals: &Globals,
) -> Result<ExitCode, Failure> {
    let command = Api::get().find(resource, verb);
    let command = command.expect("clap matches only commands of the API");
    let arguments = ParsedArgs::new(&command, matches)?;
    if globals.is_on("help") {
        return print(&help::command(&program.name, &command));
    }
    perform(program, &command, &arguments, globals)
}

/// Gives long flags with one dash a second one: `-limit` is read as `--limit`. A word behind a flag may be its value and
/// stays.
fn double_dashed(words: impl IntoIterator<Item = OsString>) -> impl Iterator<Item = OsString> {
    let mut may_be_flag = true;
    let mut is_escaped = false;
    words.into_iter().map(move |word| {
        let text = word.to_str().unwrap_or_default();
        is_escaped |= text == "--";
        let name = text.strip_prefix('-').unwrap_or_default();
        let is_long =
            name.len() > 1 && name.starts_with(|letter: char| letter.is_ascii_lowercase());
        let has_single_letter = name.as_bytes().get(1) == Some(&b'=');
        let doubled = (may_be_flag && !is_escaped && is_long && !has_single_letter)
            .then(|| OsString::from(format!("-{text}")));
        may_be_flag = !text.starts_with('-') || text.contains('=');
        doubled.unwrap_or(word)
    })
}

fn perform(
    program: &Program,
    command: &ApiCommand,
    arguments: &ParsedArgs,
    globals: &Globals,
) -> Result<ExitCode, Failure> {
    let (style, error_style) = (globals.style()?, globals.error_style()?);
    let request = request::build(&program.name, command, arguments)?;
    let client = Client::new(client_options(program, command, globals)?)?;
    let mut out = std::io::stdout().lock();
    let shown = match batches(command, &request) {
        Some(batches) => show_items(&mut out, &mut SentBatches::new(&client, batches), &style),
        None => client.send(&request).and_then(|reply| {
            let reply = accepted(reply)?;
            if command.response == ResponseShape::Items && style.format != Format::Raw {
                let mut items = Items::new(&client, request, &reply, arguments.max_items)?;
                return show_items(&mut out, &mut items, &style);
            }
            show_one(&mut out, &String::from_utf8_lossy(&reply.body), &style)
        }),
    };
    let Err(error) = shown else {
        return Ok(ExitCode::SUCCESS);
    };
    let Some(refused) = error.downcast_ref::<Refused>() else {
        return Err(error.into());
    };
    write_to_stderr(&refused.to_string());
    if let Some(hint) = hint::hint(&program.name, command, arguments, refused) {
        write_to_stderr(&format!("Hint: {hint}"));
    }
    if let Some(object) = &refused.error {
        show_one(&mut out, object.get(), &error_style)?;
    }
    Ok(ExitCode::FAILURE)
}

fn client_options(
    program: &Program,
    command: &ApiCommand,
    globals: &Globals,
) -> Result<ClientOptions, Failure> {
    let base_url = base_url(program, globals)?;
    let certificate = globals.text("mtls-client-cert-file");
    let identity = match (certificate, globals.text("mtls-client-key-file")) {
        (None, None) => None,
        (Some(certificate), Some(key)) if base_url.starts_with("https://") => {
            Some((certificate, key))
        }
        (Some(_), Some(_)) => {
            return Err(Failure::Usage(
                "a client certificate needs a --base-url that begins with https://".to_owned(),
            ));
        }
        _ => {
            return Err(Failure::Usage(
                "--mtls-client-cert-file and --mtls-client-key-file go together".to_owned(),
            ));
        }
    };
    let key = match command.operation.credential {
        Credential::None => None,
        Credential::AdminOrProjectKey => match globals.key("admin-api-key")? {
            Some(key) => Some(key),
            None => globals.key("api-key")?,
        },
        Credential::AdminKey => globals.key("admin-api-key")?,
    };
    Ok(ClientOptions {
        base_url,
        key,
        organization: globals.text("organization"),
        project: globals.text("project"),
        user_agent: format!("orgplane/{} (command line)", env!("CARGO_PKG_VERSION")),
        debug: globals.is_on("debug"),
        identity,
    })
}

fn base_url(program: &Program, globals: &Globals) -> Result<String, Failure> {
    let url = globals
        .text("base-url")
        .unwrap_or_else(|| program.base_url.to_owned());
    if url.starts_with("http://") || url.starts_with("https://") {
        return Ok(url.trim_end_matches('/').to_owned());
    }
    let wrong = format!("--base-url \"{url}\" is missing a scheme (expected http:// or https://)");
    match globals.flag("base-url") {
        Some(_) => Err(Failure::Usage(wrong)),
        None => Err(Failure::Runtime(anyhow::Error::msg(wrong))),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::{double_dashed, takes};

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn long_flags_may_have_one_dash() {
        for (typed, read) in [
            ("list -limit 5 -order=desc", "list --limit 5 --order=desc"),
            ("list -r --chart -h", "list -r --chart -h"),
            (
                "list --limit -5 --name -other",
                "list --limit -5 --name -other",
            ),
            ("list -- -limit", "list -- -limit"),
        ] {
            assert_eq!(double_dashed(words(typed)).collect::<Vec<_>>(), words(read));
        }
    }

    #[test]
    fn first_word_behind_global_flags_decides_whose_command_it_is() {
        for line in [
            "admin:organization:users list",
            "--format raw --debug admin:organization --unknown",
            "-format raw completion bash",
            "@manpages",
        ] {
            assert!(takes(&words(line)), "{line}");
        }
        for line in [
            "serve --format raw",
            "--help",
            "usage verify admin:organization",
            "",
        ] {
            assert!(!takes(&words(line)), "{line}");
        }
    }
}
