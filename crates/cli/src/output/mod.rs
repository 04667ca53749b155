//! How answers are shown: one object, or the items of a list while they are fetched.

mod boxes;
mod cell;
mod characters;
mod chart;
mod colour;
mod explore;
mod json;
mod pager;
mod table;
mod terminal;
mod transform;
mod value;
mod view;
mod yaml;

use std::borrow::Cow;
use std::io::Write;
use std::str::FromStr;

use anyhow::{Result, bail};

pub use terminal::Terminal;

use colour::Palette;
use table::Table;
use value::Value;

/// How an answer is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Tables on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// A viewer to move around in.
    Explore,
    /// JSON with one line for each key.
    Json,
    /// JSON on one line.
    Jsonl,
    /// A box with words for people.
    Pretty,
    /// The bytes that the server sent.
    Raw,
    /// YAML.
    Yaml,
}

impl Format {
    /// All formats, as they are named on the command line.
    pub const ALL: [(&str, Format); 7] = [
        ("auto", Format::Auto),
        ("explore", Format::Explore),
        ("json", Format::Json),
        ("jsonl", Format::Jsonl),
        ("pretty", Format::Pretty),
        ("raw", Format::Raw),
        ("yaml", Format::Yaml),
    ];
}

impl FromStr for Format {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(text));
        if let Some((_, format)) = found {
            return Ok(*format);
        }
        let names = Self::ALL.map(|(name, _)| name).join(", ");
        bail!("format must be one of: {names}")
    }
}

/// What the user asked for.
#[derive(Clone, Debug)]
pub struct Style {
    /// How answers are shown.
    pub format: Format,
    /// Whether the user named the format.
    pub is_explicit: bool,
    /// A GJSON path; what it leads to is shown instead of the whole.
    pub transform: Option<String>,
    /// Whether a string is shown without its quotes.
    pub raw_output: bool,
    /// Whether a report is drawn.
    pub chart: bool,
    /// Where answers are shown.
    pub terminal: Terminal,
}

/// What is said when the viewer was asked for and there is no terminal to show it on.
const NO_VIEWER: &str = "Warning: Output format 'explore' not supported for non-terminal output; falling back to 'json'";

impl Style {
    /// The format that is possible here, and what to warn of.
    fn possible(&self) -> (Format, Option<&'static str>) {
        match self.format {
            Format::Explore if !self.terminal.is_terminal => {
                (Format::Json, self.is_explicit.then_some(NO_VIEWER))
            }
            Format::Auto if !self.terminal.is_terminal => (Format::Json, None),
            format => (format, None),
        }
    }

    /// The same with the format that is possible here; says so on standard error if it is another one.
    fn settled(&self) -> Self {
        let (format, warning) = self.possible();
        if let Some(warning) = warning {
            // Nothing is lost when standard error is closed.
            let _ = writeln!(std::io::stderr(), "{warning}");
        }
        Style {
            format,
            ..self.clone()
        }
    }

    fn palette(&self) -> Palette {
        Palette {
            is_on: self.terminal.colour,
        }
    }

    fn width(&self) -> usize {
        usize::from(self.terminal.width)
    }
}

/// Shows one answer: the JSON text as the server sent it.
pub fn show_one(out: &mut dyn Write, text: &str, style: &Style) -> Result<()> {
    let style = style.settled();
    if style.format == Format::Explore && !style.chart {
        let text = transform::apply(text, style.transform.as_deref()).into_owned();
        return explore::run(out, &mut std::iter::once(Ok(text)), style.terminal.colour);
    }
    let rendered = render(text, &style)?;
    pager::through(out, &style.terminal, |out| {
        Ok(out.write_all(rendered.as_bytes())?)
    })
}

/// Shows the items of a list, which are fetched while they are shown; each is JSON text as the server sent it.
pub fn show_items(
    out: &mut dyn Write,
    items: &mut dyn Iterator<Item = Result<String>>,
    style: &Style,
) -> Result<()> {
    if style.chart {
        bail!("--chart draws reports of usage and costs; this answer is a list of items");
    }
    let style = style.settled();
    if style.format == Format::Explore {
        let path = style.transform.as_deref();
        let mut items = items.map(|item| Ok(transform::apply(&item?, path).into_owned()));
        return explore::run(out, &mut items, style.terminal.colour);
    }
    pager::through(out, &style.terminal, |out| write_items(out, items, &style))
}

fn write_items(
    out: &mut dyn Write,
    items: &mut dyn Iterator<Item = Result<String>>,
    style: &Style,
) -> Result<()> {
    let mut table = Table::new(style.width(), style.palette());
    for item in items {
        // What was fetched before an error is shown before it.
        let item = match item {
            Ok(item) => transform::apply(&item, style.transform.as_deref()).into_owned(),
            Err(error) => {
                out.write_all(table.end().as_bytes())?;
                return Err(error);
            }
        };
        let value = (style.format == Format::Auto).then(|| Value::parse(&item));
        let lines = match value {
            Some(Ok(object @ Value::Object(_))) => table.add(table::row(&object)),
            _ => table.end() + &render_transformed(&item, style)?,
        };
        out.write_all(lines.as_bytes())?;
    }
    Ok(out.write_all(table.end().as_bytes())?)
}

fn render(text: &str, style: &Style) -> Result<String> {
    render_transformed(&transform::apply(text, style.transform.as_deref()), style)
}

/// An answer as text that ends with a newline, or is empty.
fn render_transformed(text: &str, style: &Style) -> Result<String> {
    let parsed = Value::parse(text);
    if style.chart {
        return chart::draw(&parsed?, style.width(), style.palette());
    }
    let value = match parsed {
        Ok(Value::Text(text)) if style.raw_output => {
            return Ok(verbatim(&text.plain(), style) + "\n");
        }
        Ok(value) if style.format != Format::Raw => value,
        _ if text.trim().is_empty() => return Ok(String::new()),
        _ => return Ok(verbatim(text, style) + "\n"),
    };
    let palette = style.palette();
    Ok(match style.format {
        Format::Auto => view::answer(&value, style.width(), palette),
        Format::Jsonl => json::compact(&value, palette) + "\n",
        Format::Pretty => boxes::framed(&value, style.width(), palette),
        Format::Yaml => yaml::document(&value, palette),
        Format::Explore | Format::Json | Format::Raw => json::pretty(&value, palette) + "\n",
    })
}

/// Text as the server sent it; on a terminal without what would drive it.
fn verbatim(text: &str, style: &Style) -> String {
    let safe = if style.terminal.is_terminal {
        characters::lines(text)
    } else {
        Cow::Borrowed(text)
    };
    safe.into_owned()
}

#[cfg(test)]
mod tests;
