//! Shows answers, as the user asked for it.

use std::io::{ErrorKind, IsTerminal, Write};
use std::str::FromStr;

use anyhow::Result;

/// How an answer is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// As JSON.
    #[default]
    Auto,
    /// To look around in.
    Explore,
    /// JSON.
    Json,
    /// One line of JSON for each item.
    Jsonl,
    /// For people.
    Pretty,
    /// As it came.
    Raw,
    /// YAML.
    Yaml,
}

impl Format {
    /// Every format, with its name.
    pub const ALL: [(&'static str, Self); 7] = [
        ("auto", Self::Auto),
        ("explore", Self::Explore),
        ("json", Self::Json),
        ("jsonl", Self::Jsonl),
        ("pretty", Self::Pretty),
        ("raw", Self::Raw),
        ("yaml", Self::Yaml),
    ];
}

impl FromStr for Format {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let found = Self::ALL
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(word));
        found.map(|(_, format)| *format).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|(name, _)| *name).collect();
            format!("format must be one of: {}", names.join(", "))
        })
    }
}

/// Where it is shown.
#[derive(Clone, Debug)]
pub struct Terminal {
    /// Whether somebody looks at it.
    pub is_terminal: bool,
    /// How many columns it has.
    pub width: u16,
    /// How many lines it has.
    pub height: u16,
    /// Whether it may be in colour.
    pub colour: bool,
}

impl Terminal {
    /// What stdout is.
    pub fn of_stdout() -> Self {
        Self {
            is_terminal: std::io::stdout().is_terminal(),
            width: 80,
            height: 24,
            colour: false,
        }
    }
}

/// What the user asked for.
#[derive(Clone, Debug)]
pub struct Style {
    /// How it is shown.
    pub format: Format,
    /// Whether the format was asked for by name.
    pub is_explicit: bool,
    /// The part of it to show.
    pub transform: Option<String>,
    /// Whether a text is shown without quotes.
    pub raw_output: bool,
    /// Whether reports are drawn.
    pub chart: bool,
    /// Where it is shown.
    pub terminal: Terminal,
}

/// Shows one answer: the JSON text as the server sent it.
pub fn show_one(out: &mut dyn Write, text: &str, style: &Style) -> Result<()> {
    let shown = match style.format {
        Format::Raw => text.to_owned(),
        Format::Jsonl => serde_json::from_str::<serde_json::Value>(text)?.to_string(),
        _ => serde_json::to_string_pretty(&serde_json::from_str::<serde_json::Value>(text)?)?,
    };
    match writeln!(out, "{shown}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Shows the items of a list, which are fetched while they are shown; each is JSON text as the server sent it.
pub fn show_items(
    out: &mut dyn Write,
    items: &mut dyn Iterator<Item = Result<String>>,
    style: &Style,
) -> Result<()> {
    for item in items {
        show_one(out, &item?, style)?;
    }
    Ok(())
}
