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

/// A flag of every command.
pub struct GlobalFlag {
    /// The name without its dashes.
    pub name: &'static str,
    /// The letter that stands for it.
    letter: Option<char>,
    /// The name of its value; `None` for a switch.
    value_name: Option<&'static str>,
    /// The environment variable that is used if the flag is not given.
    variable: Option<&'static str>,
    /// The effect.
    help: &'static str,
}

/// All global flags, in the order of help.
pub const GLOBAL_FLAGS: [GlobalFlag; 19] = [
    option("admin-api-key", "KEY", "The key that commands are run with; as a flag it is in the list of processes, for everybody to see")
        .variable("OPENAI_ADMIN_KEY"),
    option("admin-api-key-file", "FILE", "The file with that key, which keeps it out of the list of processes"),
    option("api-key", "KEY", "A project key, for the commands whose help names it")
        .variable("OPENAI_API_KEY"),
    option("api-key-file", "FILE", "The file with that key"),
    option("organization", "ID", "Refused by the server unless the key is of this organization")
        .variable("OPENAI_ORG_ID"),
    option("project", "ID", "Refused by the server unless the key is of this project")
        .variable("OPENAI_PROJECT_ID"),
    option("base-url", "URL", "The address of the server's API").variable("OPENAI_BASE_URL"),
    option("format", FORMAT, "The format of a response: auto, explore, json, jsonl, pretty, raw or yaml"),
    option("format-error", FORMAT, "The format of an error: the same words"),
    option("transform", "PATH", "The part of the response to show, as a GJSON path"),
    option("transform-error", "PATH", "The part of an error to show, as a GJSON path"),
    switch("raw-output", "Shows a text without its quotes").letter('r'),
    switch("chart", "Draws usage and costs as bars"),
    switch("debug", "Shows each request and response on stderr, without secrets and bodies"),
    option("mtls-client-cert-file", "FILE", "The certificate to show to the server, as PEM")
        .variable("OPENAI_MTLS_CLIENT_CERT_FILE"),
    option("mtls-client-key-file", "FILE", "Its private key, as PEM")
        .variable("OPENAI_MTLS_CLIENT_KEY_FILE"),
    option("webhook-secret", "SECRET", "Accepted and not used").variable("OPENAI_WEBHOOK_SECRET"),
    switch("help", "Shows help").letter('h'),
    switch("version", "Shows the version").letter('v'),
];

/// The value name of a flag whose value is a [`Format`].
const FORMAT: &str = "FORMAT";

const fn option(name: &'static str, value_name: &'static str, help: &'static str) -> GlobalFlag {
    GlobalFlag {
        value_name: Some(value_name),
        ..switch(name, help)
    }
}

const fn switch(name: &'static str, help: &'static str) -> GlobalFlag {
    GlobalFlag {
        name,
        letter: None,
        value_name: None,
        variable: None,
        help,
    }
}

impl GlobalFlag {
    const fn variable(self, variable: &'static str) -> Self {
        Self {
            variable: Some(variable),
            ..self
        }
    }

    const fn letter(self, letter: char) -> Self {
        Self {
            letter: Some(letter),
            ..self
        }
    }

    /// The clap id: no flag of a command has it, even if both have one name.
    fn id(&self) -> String {
        format!("global {}", self.name)
    }

    fn arg(&self) -> Arg {
        let arg = Arg::new(self.id()).long(self.name).help(self.help);
        let arg = match self.letter {
            Some(letter) => arg.short(letter),
            None => arg,
        };
        let arg = match self.variable {
            Some(variable) => arg.env(variable).hide_env_values(true),
            None => arg,
        };
        let Some(value_name) = self.value_name else {
            if matches!(self.name, "help" | "version") {
                return arg.action(ArgAction::SetTrue);
            }
            return arg
                .num_args(0..=1)
                .require_equals(true)
                .value_name("BOOL")
                .default_missing_value("true")
                .value_parser(scalar::boolean);
        };
        let arg = arg.value_name(value_name).allow_hyphen_values(true);
        match value_name {
            FORMAT => arg.add(ArgValueCandidates::new(|| {
                Format::ALL
                    .map(|(name, _)| CompletionCandidate::new(name))
                    .into()
            })),
            "FILE" => arg.value_hint(ValueHint::FilePath),
            _ => arg,
        }
    }
}

/// Returns the global flags as clap arguments, without those that a command's own flags hide.
pub fn args(taken: &[String]) -> impl Iterator<Item = Arg> {
    let flags = GLOBAL_FLAGS.iter();
    let flags = flags.filter(|flag| !taken.iter().any(|name| name == flag.name));
    flags.map(GlobalFlag::arg)
}

/// The values of the global flags and of their environment variables.
#[derive(Default)]
pub struct Globals(HashMap<&'static str, (String, ValueSource)>);

impl Globals {
    /// Adds the flags that stand at one level of a command. A later level takes precedence, an environment variable never
    /// does.
    pub fn add(&mut self, matches: &ArgMatches) {
        for flag in &GLOBAL_FLAGS {
            let id = flag.id();
            // A flag that one of the command's own hides is unknown to it.
            let is_known = matches.try_contains_id(&id).is_ok();
            let source = is_known.then(|| matches.value_source(&id)).flatten();
            let Some(source) = source else { continue };
            let is_given = source == ValueSource::CommandLine;
            let is_inherited =
                source == ValueSource::EnvVariable && !self.0.contains_key(flag.name);
            if let Some(value) = value(matches, &id)
                && (is_given || is_inherited)
            {
                self.0.insert(flag.name, (value, source));
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
    fn low_key_file_has_one_key_and_nothing_else() {
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
