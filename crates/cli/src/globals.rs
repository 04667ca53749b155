//! The flags that every command takes, before its words or after them, and the environment variables behind them.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;

use anyhow::{Context, anyhow, bail};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, ValueHint};
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};

use crate::failure::Failure;
use crate::output::{Format, Style, Terminal};
use crate::scalar;

const ADMIN_KEY_HELP: &str = "\
The key that commands are run with; as a flag it is in the list of processes, for everybody to see";

const FORMAT_HELP: &str =
    "The format of a response: auto, explore, json, jsonl, pretty, raw or yaml";

/// Returns the flags of every command, in the order of help.
fn all() -> [Arg; 19] {
    [
        option("admin-api-key", "KEY", ADMIN_KEY_HELP).env("OPENAI_ADMIN_KEY"),
        file(
            "admin-api-key-file",
            "The file with that key, hidden from the list of processes",
        ),
        option(
            "api-key",
            "KEY",
            "A project key, for the commands whose help names it",
        )
        .env("OPENAI_API_KEY"),
        file("api-key-file", "The file with that key"),
        option(
            "organization",
            "ID",
            "The organization that the key must belong to",
        )
        .env("OPENAI_ORG_ID"),
        option("project", "ID", "The project that the key must belong to").env("OPENAI_PROJECT_ID"),
        option("base-url", "URL", "The address of the server's API").env("OPENAI_BASE_URL"),
        format("format", FORMAT_HELP),
        format("format-error", "The format of an error: the same words"),
        option(
            "transform",
            "PATH",
            "The part of the response to show, as a GJSON path",
        ),
        option(
            "transform-error",
            "PATH",
            "The part of an error to show, as a GJSON path",
        ),
        switch("raw-output", "Shows a text without its quotes").short('r'),
        switch("chart", "Draws usage and costs as bars"),
        switch(
            "debug",
            "Shows each request and response on stderr, without secrets and bodies",
        ),
        file(
            "mtls-client-cert-file",
            "The certificate to show to the server, as PEM",
        )
        .env("OPENAI_MTLS_CLIENT_CERT_FILE"),
        file("mtls-client-key-file", "Its private key, as PEM").env("OPENAI_MTLS_CLIENT_KEY_FILE"),
        option("webhook-secret", "SECRET", "Accepted and not used").env("OPENAI_WEBHOOK_SECRET"),
        flag("help", "Shows help")
            .short('h')
            .action(ArgAction::SetTrue),
        flag("version", "Shows the version")
            .short('v')
            .action(ArgAction::SetTrue),
    ]
}

/// Returns the flags of every command as clap arguments, without those that a command's own flags hide.
pub fn args(own_names: &[String]) -> impl Iterator<Item = Arg> {
    all().into_iter().filter(|arg| {
        let name = arg.get_long();
        !own_names.iter().any(|own| name == Some(own.as_str()))
    })
}

/// Returns the clap id of a global flag. No flag of a command has it, even if both have one name.
fn id(name: &str) -> String {
    format!("global {name}")
}

fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(id(name)).long(name).help(help)
}

fn option(name: &'static str, value_name: &'static str, help: &'static str) -> Arg {
    let arg = flag(name, help).value_name(value_name);
    arg.allow_hyphen_values(true).hide_env_values(true)
}

fn file(name: &'static str, help: &'static str) -> Arg {
    option(name, "FILE", help).value_hint(ValueHint::FilePath)
}

fn format(name: &'static str, help: &'static str) -> Arg {
    let candidates = || {
        Format::ALL
            .map(|(name, _)| CompletionCandidate::new(name))
            .into()
    };
    option(name, "FORMAT", help).add(ArgValueCandidates::new(candidates))
}

/// Returns a flag that means true without a value; one is given with `=`.
fn switch(name: &'static str, help: &'static str) -> Arg {
    flag(name, help)
        .value_name("BOOL")
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true")
        .value_parser(scalar::boolean)
}

/// The values of the global flags and of their environment variables.
#[derive(Default)]
pub struct Globals(HashMap<String, (String, ValueSource)>);

impl Globals {
    /// Adds the flags that stand at one level of a command. A later level takes precedence, an environment variable never
    /// does.
    pub fn add(&mut self, matches: &ArgMatches) {
        for id in matches.ids().map(clap::Id::as_str) {
            let Some(name) = id.strip_prefix(&self::id("")) else {
                continue;
            };
            let source = matches.value_source(id);
            let is_given = source == Some(ValueSource::CommandLine);
            let is_inherited =
                source == Some(ValueSource::EnvVariable) && !self.0.contains_key(name);
            if let (Some(source), Some(value)) = (source, value(matches, id))
                && (is_given || is_inherited)
            {
                self.0.insert(name.to_owned(), (value, source));
            }
        }
    }

    /// Returns true if a switch is on.
    pub fn is_on(&self, name: &str) -> bool {
        self.flag(name) == Some("true")
    }

    /// Returns the value of a flag, without regard to its environment variable.
    pub fn flag(&self, name: &str) -> Option<&str> {
        let given = self.0.get(name);
        let given = given.filter(|(_, source)| *source == ValueSource::CommandLine);
        given.map(|(value, _)| value.as_str())
    }

    /// Returns the value of a flag, or of its environment variable; an empty one counts as unset.
    pub fn text(&self, name: &str) -> Option<String> {
        let (text, _) = self.0.get(name)?;
        (!text.is_empty()).then(|| text.clone())
    }

    /// Returns the key that a flag sets, or else the content of the file that the flag `NAME-file` names, or else the
    /// environment variable.
    ///
    /// # Errors
    /// Both flags were given, or the file holds no key.
    pub fn key(&self, name: &str) -> Result<Option<String>, Failure> {
        let Some(file) = self.flag(&format!("{name}-file")) else {
            return Ok(self.text(name).map(|key| key.trim().to_owned()));
        };
        if self.flag(name).is_some() {
            let message = format!("--{name} and --{name}-file exclude each other");
            return Err(Failure::Usage(message));
        }
        let key = read_key(file).with_context(|| format!("--{name}-file '{file}'"))?;
        Ok(Some(key))
    }

    /// Returns the style of responses.
    pub fn style(&self) -> Result<Style, Failure> {
        Ok(Style {
            chart: self.is_on("chart"),
            ..self.style_of("format", "transform")?
        })
    }

    /// Returns the style of errors.
    pub fn error_style(&self) -> Result<Style, Failure> {
        self.style_of("format-error", "transform-error")
    }

    fn style_of(&self, format: &str, transform: &str) -> Result<Style, Failure> {
        let name = self.flag(format);
        let wrong = |reason| Failure::Usage(format!("--{format}: {reason}"));
        let format = name.map_or(Ok(Format::default()), str::parse);
        Ok(Style {
            format: format.map_err(wrong)?,
            is_explicit: name.is_some(),
            transform: self.flag(transform).map(str::to_owned),
            raw_output: self.is_on("raw-output"),
            chart: false,
            terminal: Terminal::of_stdout(),
        })
    }
}

/// Returns the value of an option, or of a switch as text.
fn value(matches: &ArgMatches, id: &str) -> Option<String> {
    match matches.try_get_one::<String>(id) {
        Ok(value) => value.cloned(),
        Err(_) => matches.get_one::<bool>(id).map(bool::to_string),
    }
}

/// The largest size of a file with a key.
const MAX_KEY_FILE_BYTES: u64 = 4096;

/// Returns the content of a file without the space around it, which must be one key.
fn read_key(file: &str) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    let limited = File::open(file)?.take(MAX_KEY_FILE_BYTES + 1);
    let length = { limited }.read_to_end(&mut bytes)?;
    let text = base::utf_8(bytes).map_err(|reason| anyhow!(reason))?;
    let key = text.trim();
    if length as u64 > MAX_KEY_FILE_BYTES || key.contains(char::is_whitespace) {
        bail!("has more than a key in it");
    }
    if key.is_empty() {
        bail!("is empty: it must have a key in it");
    }
    Ok(key.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &[u8]) -> (tempfile::TempDir, String) {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("key");
        std::fs::write(&file, text).expect("written");
        let file = file.display().to_string();
        (directory, file)
    }

    #[test]
    fn key_file_holds_exactly_one_key() {
        for text in [&b"\n sk-admin-1\r\n"[..], b"\xef\xbb\xbfsk-admin-1\r\n"] {
            let (_directory, file) = written(text);
            assert_eq!(read_key(&file).ok().as_deref(), Some("sk-admin-1"));
        }
        let long = [b'x'; 5000];
        for (text, reason) in [
            (&b""[..], "is empty"),
            (b" \n", "is empty"),
            (b"sk-admin-1\nsk-admin-2\n", "more than a key"),
            (b"\xff\xfe", "UTF-8"),
            (&long, "more than a key"),
        ] {
            let (_directory, file) = written(text);
            let error = read_key(&file).map_err(|error| error.to_string());
            let error = error.expect_err("no key");
            assert!(error.contains(reason), "{error}");
        }
        assert!(read_key("/absent/key").is_err());
    }
}
