//! The flags that every command takes, before its words or after them, and the environment behind them.

use std::fs::File;
use std::io::Read;

use anyhow::{Context, anyhow, bail};

use crate::failure::Failure;
use crate::output::{Format, Style, Terminal};

/// A flag of every command.
pub struct Global {
    /// What it is called, without its dashes.
    pub name: &'static str,
    /// The one letter that stands for it.
    pub letter: Option<char>,
    /// What its value is called; a switch has none.
    pub value: Option<&'static str>,
    /// Where its value comes from when it is not given.
    pub variable: Option<&'static str>,
    /// What it does.
    pub about: &'static str,
}

/// All of them, as help shows them.
pub const GLOBALS: [Global; 19] = [
    valued(
        "admin-api-key",
        "KEY",
        Some("OPENAI_ADMIN_KEY"),
        "The key that commands are run with; as a flag it is in the list of processes, for everybody to see",
    ),
    valued(
        "admin-api-key-file",
        "FILE",
        None,
        "The file with that key, which keeps it out of the list of processes",
    ),
    valued(
        "api-key",
        "KEY",
        Some("OPENAI_API_KEY"),
        "A project key: only for what takes one, which help then says",
    ),
    valued("api-key-file", "FILE", None, "The file with that key"),
    valued(
        "organization",
        "ID",
        Some("OPENAI_ORG_ID"),
        "Refused by the server unless the key is of this organization",
    ),
    valued(
        "project",
        "ID",
        Some("OPENAI_PROJECT_ID"),
        "Refused by the server unless the key is of this project",
    ),
    valued(
        "base-url",
        "URL",
        Some("OPENAI_BASE_URL"),
        "Where the server is",
    ),
    valued(
        "format",
        "FORMAT",
        None,
        "How an answer is shown: auto, explore, json, jsonl, pretty, raw or yaml",
    ),
    valued(
        "format-error",
        "FORMAT",
        None,
        "How an error is shown: the same words",
    ),
    valued(
        "transform",
        "PATH",
        None,
        "The part of the answer to show, as a GJSON path",
    ),
    valued(
        "transform-error",
        "PATH",
        None,
        "The part of an error to show, as a GJSON path",
    ),
    Global {
        letter: Some('r'),
        ..switch("raw-output", "Shows a text without its quotes")
    },
    switch("chart", "Draws usage and costs as bars"),
    switch(
        "debug",
        "Shows each request and answer on stderr, without secrets and bodies",
    ),
    valued(
        "mtls-client-cert-file",
        "FILE",
        Some("OPENAI_MTLS_CLIENT_CERT_FILE"),
        "The certificate to show to the server, as PEM",
    ),
    valued(
        "mtls-client-key-file",
        "FILE",
        Some("OPENAI_MTLS_CLIENT_KEY_FILE"),
        "Its private key, as PEM",
    ),
    valued(
        "webhook-secret",
        "SECRET",
        Some("OPENAI_WEBHOOK_SECRET"),
        "Taken and not used",
    ),
    Global {
        letter: Some('h'),
        ..switch("help", "Shows help")
    },
    Global {
        letter: Some('v'),
        ..switch("version", "Shows the version")
    },
];

const fn valued(
    name: &'static str,
    value: &'static str,
    variable: Option<&'static str>,
    about: &'static str,
) -> Global {
    Global {
        name,
        letter: None,
        value: Some(value),
        variable,
        about,
    }
}

const fn switch(name: &'static str, about: &'static str) -> Global {
    Global {
        name,
        letter: None,
        value: None,
        variable: None,
        about,
    }
}

/// The global flag with this name, or with this one letter.
pub fn find(name: &str) -> Option<&'static Global> {
    GLOBALS.iter().find(|global| {
        let mut letters = name.chars();
        global.name == name || (letters.next() == global.letter && letters.next().is_none())
    })
}

/// The global flags that were given.
#[derive(Default)]
pub struct Globals(Vec<(&'static str, String)>);

impl Globals {
    /// Sets one; the last setting counts.
    pub fn set(&mut self, global: &'static Global, value: String) {
        self.0.push((global.name, value));
    }

    /// Whether a switch is on.
    pub fn is_on(&self, name: &str) -> bool {
        self.flag(name) == Some("true")
    }

    /// What a flag was set to.
    pub fn flag(&self, name: &str) -> Option<&str> {
        let given = self.0.iter().rev().find(|(given, _)| *given == name);
        given.map(|(_, value)| value.as_str())
    }

    /// What a flag was set to, or its variable; an empty one counts as unset.
    pub fn text(&self, name: &str) -> Option<String> {
        let variable = || std::env::var(find(name)?.variable?).ok();
        let text = self.flag(name).map(str::to_owned).or_else(variable)?;
        (!text.is_empty()).then_some(text)
    }

    /// The key that a flag sets, or the file that the flag with `-file` at its end names, or its variable.
    ///
    /// # Errors
    /// Both flags were given, or the file has no key.
    pub fn key(&self, name: &str) -> Result<Option<String>, Failure> {
        let Some(file) = self.flag(&format!("{name}-file")) else {
            return Ok(self.text(name).map(|key| key.trim().to_owned()));
        };
        if self.flag(name).is_some() {
            let message = format!("--{name} and --{name}-file exclude each other");
            return Err(Failure::Words(message));
        }
        let key = key_in(file).with_context(|| format!("--{name}-file '{file}'"))?;
        Ok(Some(key))
    }

    /// How an answer is to be shown.
    pub fn style(&self) -> Result<Style, Failure> {
        Ok(Style {
            chart: self.is_on("chart"),
            ..self.style_of("format", "transform")?
        })
    }

    /// How an error is to be shown.
    pub fn error_style(&self) -> Result<Style, Failure> {
        self.style_of("format-error", "transform-error")
    }

    fn style_of(&self, format: &str, transform: &str) -> Result<Style, Failure> {
        let word = self.flag(format);
        let wrong = |reason| Failure::Words(format!("--{format}: {reason}"));
        let format: Format = match word {
            Some(word) => word.parse().map_err(wrong)?,
            None => Format::default(),
        };
        Ok(Style {
            format,
            is_explicit: word.is_some(),
            transform: self.flag(transform).map(str::to_owned),
            raw_output: self.is_on("raw-output"),
            chart: false,
            terminal: Terminal::of_stdout(),
        })
    }
}

/// The most bytes that a file with a key has.
const MAX_KEY_FILE_BYTES: u64 = 4096;

/// The key that a file has, and nothing else but the space around it.
fn key_in(file: &str) -> anyhow::Result<String> {
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
            assert_eq!(key_in(&file).ok().as_deref(), Some("sk-admin-1"));
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
            let error = key_in(&file).map_err(|error| error.to_string());
            let error = error.expect_err("no key");
            assert!(error.contains(reason), "{error}");
        }
        assert!(key_in("/absent/key").is_err());
    }
}
