//! Values as tables and lists of facts show them.

use std::fmt;

use askama::Template;
use askama::filters::HtmlSafe;
use base::{NanoDollars, UnixTime};
use pages::{Moment, Zone, number};
use serde_json::Value as Json;

use crate::resource::{Column, ColumnForm};

/// Seconds before an expiry from which on it is a warning.
const EXPIRY_WARNING_SECONDS: i64 = 14 * base::time::SECONDS_PER_DAY;
/// The most items of a list that a cell shows.
const MAX_TAGS_COUNT: usize = 12;

/// A value as pages show it.
#[derive(Clone, Debug)]
pub(crate) enum Cell {
    /// No value, with a word for it.
    Nothing(&'static str),
    /// Text.
    Text(String),
    /// Text with a link, and a second line.
    Link {
        /// Text of the link.
        text: String,
        /// Target; empty for none.
        target: String,
        /// Second line; empty for none.
        second: String,
    },
    /// Identifier.
    Id(String),
    /// Time.
    Time(Moment),
    /// End, which is near or over.
    NearTime(Moment, &'static str),
    /// Word with a colour.
    Badge {
        /// Word.
        text: String,
        /// Class of the colour.
        class: &'static str,
    },
    /// Words.
    Tags(Vec<String>, usize),
}

#[derive(Template)]
#[template(path = "cell.html")]
struct CellTemplate<'a> {
    cell: &'a Cell,
}

impl fmt::Display for Cell {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        CellTemplate { cell: self }.fmt(formatter)
    }
}

impl HtmlSafe for Cell {}

/// Facts that cells depend on.
pub(crate) struct CellContext<'a> {
    /// Time zone of the browser.
    pub(crate) zone: &'a Zone,
    /// Present time.
    pub(crate) now: UnixTime,
}

impl Column {
    /// Returns the cell of an item. `target` is the address of the item's page; empty for none.
    pub(crate) fn cell(&self, item: &Json, target: &str, context: &CellContext<'_>) -> Cell {
        let value = item.pointer(self.pointer).unwrap_or(&Json::Null);
        let text = || text_of(value);
        match self.form {
            ColumnForm::Computed(make) => make(item),
            ColumnForm::Name => link(named(text()), target, String::new()),
            ColumnForm::NameWith(second) => {
                let second = item.pointer(second).map(text_of).unwrap_or_default();
                link(named(text()), target, second)
            }
            ColumnForm::Since => self.time(value, "never", |time| {
                Cell::Time(Moment::relative(time, context.now))
            }),
            ColumnForm::Date => self.time(value, "\u{2014}", |time| {
                Cell::Time(Moment::date(time, context.zone))
            }),
            ColumnForm::Time => self.time(value, "\u{2014}", |time| {
                Cell::Time(Moment::new(time, context.zone))
            }),
            ColumnForm::Expiry => self.time(value, "never", |time| expiry(time, context)),
            _ if value.is_null() => Cell::Nothing("\u{2014}"),
            ColumnForm::Text => Cell::Text(text()),
            ColumnForm::Id => Cell::Id(text()),
            ColumnForm::Number => Cell::Text(number::whole(value.as_i64().unwrap_or_default())),
            ColumnForm::Cents => {
                let cents = value.as_i64().unwrap_or_default();
                Cell::Text(number::money(NanoDollars::from_cents(cents)))
            }
            ColumnForm::Count => Cell::Text(number::whole(count(value))),
            ColumnForm::Tags => tags(value),
            ColumnForm::Badge(words) => badge(words, &text()),
            ColumnForm::Flag(yes, no) => {
                let is_set = value.as_bool().unwrap_or_default();
                let (text, class) = if is_set { (yes, "success") } else { (no, "") };
                Cell::Badge {
                    text: text.to_owned(),
                    class,
                }
            }
        }
    }

    fn time(
        &self,
        value: &Json,
        missing: &'static str,
        show: impl FnOnce(UnixTime) -> Cell,
    ) -> Cell {
        match value.as_i64() {
            Some(seconds) => show(UnixTime(seconds)),
            None => Cell::Nothing(missing),
        }
    }

    /// Returns the value for programs, as files of comma-separated values have it.
    pub(crate) fn plain(&self, item: &Json) -> String {
        match self.form {
            ColumnForm::Computed(make) => make(item).plain(),
            _ => match item.pointer(self.pointer) {
                Some(Json::Array(items)) if matches!(self.form, ColumnForm::Count) => {
                    items.len().to_string()
                }
                Some(value) => text_of(value),
                None => String::new(),
            },
        }
    }
}

impl Cell {
    /// Returns the text without markup.
    pub(crate) fn plain(&self) -> String {
        match self {
            Self::Nothing(_) => String::new(),
            Self::Text(text) | Self::Id(text) | Self::Badge { text, .. } => text.clone(),
            Self::Link { text, .. } => text.clone(),
            Self::Time(moment) | Self::NearTime(moment, _) => moment.text().to_owned(),
            Self::Tags(tags, _) => tags.join(" "),
        }
    }
}

fn link(text: String, target: &str, second: String) -> Cell {
    Cell::Link {
        text,
        target: target.to_owned(),
        second,
    }
}

/// Returns the name, or a word for an empty one, so that a link always has a text.
fn named(name: String) -> String {
    if name.trim().is_empty() {
        "(no name)".to_owned()
    } else {
        name
    }
}

/// Returns a value as text: lists with spaces between the items, objects as JSON.
pub(crate) fn text_of(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        Json::Array(items) => items.iter().map(text_of).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

fn count(value: &Json) -> i64 {
    let count = value.as_array().map_or(0, Vec::len);
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn tags(value: &Json) -> Cell {
    let items = value.as_array().into_iter().flatten().map(text_of);
    let mut words: Vec<String> = items.collect();
    let more = words.len().saturating_sub(MAX_TAGS_COUNT);
    words.truncate(MAX_TAGS_COUNT);
    if words.is_empty() {
        return Cell::Nothing("none");
    }
    Cell::Tags(words, more)
}

fn badge(words: &[(&str, &'static str, &'static str)], text: &str) -> Cell {
    let known = words.iter().find(|(word, _, _)| *word == text);
    match known {
        Some((_, label, class)) => Cell::Badge {
            text: (*label).to_owned(),
            class,
        },
        None => Cell::Badge {
            text: text.to_owned(),
            class: "",
        },
    }
}

fn expiry(time: UnixTime, context: &CellContext<'_>) -> Cell {
    let moment = Moment::date(time, context.zone);
    if time <= context.now {
        Cell::NearTime(moment, "expired")
    } else if time <= context.now.plus(EXPIRY_WARNING_SECONDS) {
        Cell::NearTime(moment, "soon")
    } else {
        Cell::Time(moment)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resource::column;

    fn shown(column: &Column, item: &Json) -> String {
        let zone = Zone::default();
        let context = CellContext {
            zone: &zone,
            now: UnixTime(1_796_115_900),
        };
        column.cell(item, "/console/x", &context).to_string()
    }

    #[test]
    fn markup_in_a_value_is_text() {
        let item = json!({"name": "<b>\"x\"</b>", "tags": ["<i>"], "none": null});
        let name = shown(&column("Name", "/name", ColumnForm::Name), &item);
        assert!(
            name.contains("&#60;b&#62;") && !name.contains("<b>"),
            "{name}"
        );
        let tags = shown(&column("Tags", "/tags", ColumnForm::Tags), &item);
        assert!(tags.contains("&#60;i&#62;"), "{tags}");
        let none = shown(&column("None", "/none", ColumnForm::Text), &item);
        assert!(none.contains('\u{2014}'), "{none}");
    }

    #[test]
    fn an_end_that_is_near_is_marked() {
        for (seconds, mark) in [
            (1_796_115_900, "expired"),
            (1_796_115_900 + 86_400, "soon"),
            (1_796_115_900 + 86_400 * 60, ""),
        ] {
            let cell = shown(
                &column("Expires", "/at", ColumnForm::Expiry),
                &json!({"at": seconds}),
            );
            assert_eq!(cell.contains("badge"), !mark.is_empty(), "{cell}");
            assert!(cell.contains(mark), "{cell}");
        }
    }
}
