//! Runs what the words say.

use std::ffi::OsString;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use admin::operation::Effect;

use crate::arguments::{Arguments, Words};
use crate::client::{Client, Options};
use crate::command::{Answer, Command};
use crate::failure::Failure;
use crate::globals::Globals;
use crate::output::{Format, show_items, show_one};
use crate::pages::Items;
use crate::parts::{self, Sent};
use crate::refused::{Refused, accepted};
use crate::registry::{Registry, is_root};
use crate::request;
use crate::{completion, help, hint, manual};

/// The program that the words are said to.
pub struct Program {
    /// What it was called as.
    pub name: String,
    /// Its version.
    pub version: &'static str,
    /// Where the server is when nobody says it.
    pub base_url: &'static str,
    /// Its other commands; none when all words are ours.
    pub others: Option<clap::Command>,
}

/// Whether the first word that is no global flag is one of ours.
#[must_use]
pub fn takes(words: &[OsString]) -> bool {
    let words = words
        .iter()
        .map_while(|word| word.to_str().map(str::to_owned));
    let first = Words::new(words).leading(&mut Globals::default());
    first.ok().flatten().is_some_and(|word| {
        let is_ours = ["completion", "manpages", "__complete"].contains(&word.as_str());
        is_ours || word.starts_with('@') || is_root(&word) || word.starts_with("admin:")
    })
}

/// Runs what `words` say, which stand behind the program's name. 0 when done, 1 when it failed, 2 when they were wrong.
#[must_use]
pub fn run(program: &Program, words: impl IntoIterator<Item = OsString>) -> ExitCode {
    let outcome = understood(words).and_then(|words| execute(program, words));
    match outcome {
        Ok(code) => code,
        Err(failure) => {
            let text = match &failure {
                Failure::Words(text) => text.clone(),
                Failure::Failed(error) => format!("{error:#}"),
            };
            complain(&format!("{}: {text}", program.name));
            failure.exit_code()
        }
    }
}

fn understood(words: impl IntoIterator<Item = OsString>) -> Result<Vec<String>, Failure> {
    let text = |word: OsString| {
        word.into_string()
            .map_err(|word| Failure::Words(format!("{} is not text", word.display())))
    };
    words.into_iter().map(text).collect()
}

fn execute(program: &Program, words: Vec<String>) -> Result<ExitCode, Failure> {
    let mut words = Words::new(words);
    let mut globals = Globals::default();
    let resource = words.leading(&mut globals)?;
    if globals.is_on("version") {
        return print(&format!("{} {}\n", program.name, program.version));
    }
    match resource.as_deref() {
        None => return print(&help::root(&program.name)),
        Some("completion" | "@completion") => return print(&completion::script(program, words)?),
        Some("__complete") => return completion::candidates(program, words),
        Some("manpages" | "@manpages") => return manual::write(program, words),
        Some(_) => {}
    }
    let resource = resource.unwrap_or_default();
    let registry = Registry::new();
    registry.check(&program.name, &resource)?;
    let verb = words.leading(&mut globals)?;
    let Some(verb) = verb else {
        return print(&if is_root(&resource) {
            help::root(&program.name)
        } else {
            help::resource(&program.name, &resource)
        });
    };
    let command = registry.find(&program.name, &resource, &verb)?;
    let arguments = words.arguments(&command, &mut globals)?;
    if globals.is_on("help") {
        return print(&help::command(&program.name, &command));
    }
    perform(program, &command, &arguments, &globals)
}

fn perform(
    program: &Program,
    command: &Command,
    arguments: &Arguments,
    globals: &Globals,
) -> Result<ExitCode, Failure> {
    let (style, error_style) = (globals.style()?, globals.error_style()?);
    let request = request::build(&program.name, command, arguments)?;
    let client = Client::new(options(program, command, globals)?)?;
    let mut out = std::io::stdout().lock();
    let shown = match parts::of(command, &request) {
        Some(parts) => show_items(&mut out, &mut Sent::new(&client, parts), &style),
        None => client.send(&request).and_then(|reply| {
            let reply = accepted(reply)?;
            if command.answer == Answer::Items && style.format != Format::Raw {
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
    complain(&refused.to_string());
    if let Some(hint) = hint::hint(&program.name, command, arguments, refused) {
        complain(&format!("Hint: {hint}"));
    }
    if let Some(object) = &refused.error {
        show_one(&mut out, object.get(), &error_style)?;
    }
    Ok(ExitCode::FAILURE)
}

fn options(program: &Program, command: &Command, globals: &Globals) -> Result<Options, Failure> {
    let base_url = base_url(program, globals)?;
    let certificate = globals.text("mtls-client-cert-file");
    let identity = match (certificate, globals.text("mtls-client-key-file")) {
        (None, None) => None,
        (Some(certificate), Some(key)) if base_url.starts_with("https://") => {
            Some((certificate, key))
        }
        (Some(_), Some(_)) => {
            return Err(Failure::Words(
                "a client certificate needs a --base-url that begins with https://".to_owned(),
            ));
        }
        _ => {
            return Err(Failure::Words(
                "--mtls-client-cert-file and --mtls-client-key-file go together".to_owned(),
            ));
        }
    };
    let key = match command.effect {
        Effect::Open => None,
        Effect::Ingest => match globals.key("admin-api-key")? {
            Some(key) => Some(key),
            None => globals.key("api-key")?,
        },
        Effect::Read | Effect::Write => globals.key("admin-api-key")?,
    };
    Ok(Options {
        base_url,
        key,
        organization: globals.text("organization"),
        project: globals.text("project"),
        agent: format!("orgplane/{} (command line)", env!("CARGO_PKG_VERSION")),
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
        Some(_) => Err(Failure::Words(wrong)),
        None => Err(Failure::Failed(anyhow::Error::msg(wrong))),
    }
}

/// Writes to stdout; a reader that has gone is no error.
pub fn print(text: &str) -> Result<ExitCode, Failure> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Nobody is left to tell when stderr is closed.
fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
