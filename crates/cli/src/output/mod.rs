//! The output of responses: one object, or the items of a list while they are fetched.

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
mod unicode_table;
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

/// The format of a response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Tables on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// An interactive viewer.
    Explore,
    /// JSON with a line for each key.
    Json,
    /// JSON on one line.
    Jsonl,
    /// A frame around readable values.
    Pretty,
    /// The bytes as the server sent them.
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

/// The options of output.
#[derive(Clone, Debug)]
pub struct Style {
    /// The format, as the user chose it.
    pub format: Format,
    /// True if the user named the format.
    pub is_explicit: bool,
    /// The GJSON path to the part that is shown instead of the whole.
    pub transform: Option<String>,
    /// True if a string is shown without its quotes.
    pub raw_output: bool,
    /// True if a report is drawn as a chart.
    pub chart: bool,
    /// The terminal, or its absence.
    pub terminal: Terminal,
}

/// The warning that the viewer needs a terminal.
const NO_TERMINAL_WARNING: &str = "Warning: Output format 'explore' not supported for non-terminal output; falling back to 'json'";

impl Style {
    /// Returns the format that the terminal allows, and a warning if that is not the chosen one.
    fn supported(&self) -> (Format, Option<&'static str>) {
        match self.format {
            Format::Explore if !self.terminal.is_terminal => (
                Format::Json,
                self.is_explicit.then_some(NO_TERMINAL_WARNING),
            ),
            Format::Auto if !self.terminal.is_terminal => (Format::Json, None),
            format => (format, None),
        }
    }

    /// Returns the style with the supported format, after a warning on stderr.
    fn with_supported_format(&self) -> Self {
        let (format, warning) = self.supported();
        if let Some(warning) = warning {
            // A closed stderr is no error.
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

/// Shows one response, given as JSON text.
pub fn show_one(out: &mut dyn Write, text: &str, style: &Style) -> Result<()> {
    let style = style.with_supported_format();
    if style.format == Format::Explore && !style.chart {
        let text = transform::apply(text, style.transform.as_deref()).into_owned();
        return explore::run(out, &mut std::iter::once(Ok(text)), style.terminal.colour);
    }
    let rendered = render(text, &style)?;
    pager::through(out, &style.terminal, |out| {
        Ok(out.write_all(rendered.as_bytes())?)
    })
}

/// Shows the items of a list, each given as JSON text. They are taken one by one, as the output is read.
pub fn show_items(
    out: &mut dyn Write,
    items: &mut dyn Iterator<Item = Result<String>>,
    style: &Style,
) -> Result<()> {
    if style.chart {
        bail!("--chart draws reports of usage and costs; this answer is a list of items");
    }
    let style = style.with_supported_format();
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
        // Items that came before an error are shown before it.
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

/// Returns a response as text that ends with a newline, or is empty.
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
        Format::Auto => view::response(&value, style.width(), palette),
        Format::Jsonl => json::compact(&value, palette) + "\n",
        Format::Pretty => unicode_table::framed(&value, style.width(), palette),
        Format::Yaml => yaml::document(&value, palette),
        Format::Explore | Format::Json | Format::Raw => json::pretty(&value, palette) + "\n",
    })
}

/// Returns a text unchanged; for a terminal, with its control characters escaped.
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
