//! Deserializing the row of a table as a usage event. Errors about cells have the words of the JSON parser.

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::value::{Error, StrDeserializer};
use serde::de::{DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess, Visitor};
use serde::forward_to_deserialize_any;
use usage::reported::{RefusedEvent, ReportedEvent};

use crate::column::{Column, ColumnType};

/// The value of a cell that is not empty.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Cell<'a> {
    Text(&'a str),
    /// Bytes that are not UTF-8 in a column of texts.
    Bytes(&'a [u8]),
    Integer(i64),
    /// A number with a fraction, or one too large for an exact integer.
    Number(f64),
    Boolean(bool),
}

impl<'a> Cell<'a> {
    /// Converts a floating-point number, as tables without nullable integers have it: whole numbers become integers,
    /// NaN an empty cell.
    pub(crate) fn number(number: f64) -> Option<Self> {
        /// The number above which not every integer is a double.
        const MAX_EXACT: f64 = 9_007_199_254_740_992.0;
        if number.is_nan() {
            return None;
        }
        if number.fract() != 0.0 || number.abs() > MAX_EXACT {
            return Some(Self::Number(number));
        }
        // Formatted without fraction and parsed, since a cast is lossy.
        let whole = format!("{number:.0}").parse();
        Some(whole.map_or(Self::Number(number), Self::Integer))
    }

    /// Parses a cell of a table of texts. An empty text is an empty cell.
    pub(crate) fn read(text: &'a str, column_type: ColumnType) -> Option<Self> {
        if text.is_empty() {
            return None;
        }
        match column_type {
            ColumnType::Text => Some(Self::Text(unguarded(text))),
            ColumnType::Dollars => Some(Self::Text(text)),
            ColumnType::Integer | ColumnType::Moment => {
                let whole = text.parse().ok().map(Self::Integer);
                let number = || text.parse().ok().filter(|number: &f64| number.is_finite());
                let moment = || {
                    let time =
                        (column_type == ColumnType::Moment).then(|| text.parse::<Timestamp>());
                    Some(Self::Integer(time?.ok()?.as_second()))
                };
                whole
                    .or_else(|| Self::number(number()?))
                    .or_else(moment)
                    .or(Some(Self::Text(text)))
            }
            ColumnType::Boolean => Some(match text {
                "true" | "True" | "TRUE" => Self::Boolean(true),
                "false" | "False" | "FALSE" => Self::Boolean(false),
                _ => Self::Text(text),
            }),
        }
    }
}

/// Characters that start a formula: in ASCII, in full width and in small form, which some spreadsheet programs take for
/// the same.
const FORMULA_SIGNS: [char; 12] = [
    '=', '+', '-', '@', '＝', '＋', '－', '＠', '﹦', '﹢', '﹣', '﹫',
];
/// Characters without width, which hide the character after them.
const INVISIBLE: [char; 7] = [
    '\u{ad}', '\u{200b}', '\u{200c}', '\u{200d}', '\u{200e}', '\u{200f}', '\u{feff}',
];

/// True if a spreadsheet program could take the text for a formula, even after trimming it. In CSV that we write, such
/// a text is preceded by an apostrophe.
pub(crate) fn needs_guard(text: &str) -> bool {
    let is_sign = |c: char| FORMULA_SIGNS.contains(&c);
    let is_blank = |c: char| c.is_whitespace() || c.is_control() || INVISIBLE.contains(&c);
    let text = text.trim_start_matches('\'');
    text.starts_with(|c: char| is_sign(c) || is_blank(c))
}

/// Returns the text without an apostrophe that only guards it.
fn unguarded(text: &str) -> &str {
    match text.strip_prefix('\'') {
        Some(guarded) if needs_guard(guarded) => guarded,
        _ => text,
    }
}

/// Deserializes a row.
pub(crate) fn event<'a>(
    columns: &'a [Column],
    cells: impl Iterator<Item = Option<Cell<'a>>> + Clone,
) -> Result<ReportedEvent<'a>, RefusedEvent> {
    let row = |cells| RowDeserializer {
        columns: columns.iter(),
        cells,
        value: None,
    };
    ReportedEvent::deserialize(row(cells.clone())).map_err(|error| {
        let id = columns
            .iter()
            .zip(cells)
            .find(|(column, _)| column.name == "id");
        let id = match id {
            Some((_, Some(Cell::Text(id)))) => Some(id.to_owned()),
            _ => None,
        };
        RefusedEvent {
            id,
            error: error.to_string(),
        }
    })
}

/// A deserializer of the cells of a row that are not empty, each under the name of its column.
struct RowDeserializer<'a, I> {
    columns: std::slice::Iter<'a, Column>,
    cells: I,
    /// The cell whose name was read last.
    value: Option<(&'static str, Cell<'a>)>,
}

impl<'a, I: Iterator<Item = Option<Cell<'a>>>> Deserializer<'a> for RowDeserializer<'a, I> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_map(self)
    }

    forward_to_deserialize_any! {
        <W: Visitor<'a>>
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'a, I: Iterator<Item = Option<Cell<'a>>>> MapAccess<'a> for RowDeserializer<'a, I> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'a>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        for (column, cell) in self.columns.by_ref().zip(self.cells.by_ref()) {
            if let Some(cell) = cell {
                self.value = Some((column.name, cell));
                let name: StrDeserializer<'_, Error> = column.name.into_deserializer();
                return seed.deserialize(name).map(Some);
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'a>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let (name, cell) = self
            .value
            .take()
            .ok_or_else(|| Error::custom("a value before its name"))?;
        seed.deserialize(cell)
            .map_err(|error| Error::custom(format_args!("{name}: {error}")))
    }
}

impl<'a> Deserializer<'a> for Cell<'a> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Self::Text(text) => visitor.visit_borrowed_str(text),
            Self::Bytes(bytes) => visitor.visit_borrowed_bytes(bytes),
            Self::Integer(number) => visitor.visit_i64(number),
            Self::Number(number) => visitor.visit_f64(number),
            Self::Boolean(boolean) => visitor.visit_bool(boolean),
        }
    }

    fn deserialize_option<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    forward_to_deserialize_any! {
        <W: Visitor<'a>>
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_integers_however_they_are_written() {
        for text in ["1200", "1200.0", "1.2e3"] {
            assert_eq!(
                Cell::read(text, ColumnType::Integer),
                Some(Cell::Integer(1_200)),
                "{text}"
            );
        }
        assert_eq!(
            Cell::read("1.5", ColumnType::Integer),
            Some(Cell::Number(1.5))
        );
        assert_eq!(
            Cell::read("NaN", ColumnType::Integer),
            Some(Cell::Text("NaN"))
        );
        assert_eq!(
            Cell::read("9223372036854775807", ColumnType::Moment),
            Some(Cell::Integer(i64::MAX))
        );
        assert_eq!(
            Cell::number(f64::NAN),
            None,
            "which is how some write what is absent"
        );
        assert_eq!(Cell::number(-3.0), Some(Cell::Integer(-3)));
        assert_eq!(Cell::number(1e300), Some(Cell::Number(1e300)));
    }

    #[test]
    fn a_time_is_seconds_or_a_timestamp() {
        let read = |text| Cell::read(text, ColumnType::Moment);
        for text in [
            "1768478400",
            "2026-01-15T12:00:00Z",
            "2026-01-15 13:00:00+01",
        ] {
            assert_eq!(read(text), Some(Cell::Integer(1_768_478_400)), "{text}");
        }
        assert_eq!(read("noon"), Some(Cell::Text("noon")));
    }

    #[test]
    fn a_guarded_text_is_read_as_it_was() {
        for (text, read) in [("'=1", "=1"), ("''=1", "'=1"), ("'a", "'a"), ("=1", "=1")] {
            assert_eq!(Cell::read(text, ColumnType::Text), Some(Cell::Text(read)));
        }
    }

    #[test]
    fn every_csv_text_is_read_as_it_was_written_and_no_cell_is_a_formula() {
        let pieces = [
            "", "'", "''", " ", "\u{a0}", "\u{3000}", "\t", "\r", "\n", "\0", "\u{200b}",
            "\u{feff}", "=", "+", "-", "@", "＝", "＋", "－", "＠", "﹦", "a", "1", "\"", ",",
        ];
        let starts = pieces
            .iter()
            .flat_map(|one| pieces.map(|two| format!("{one}{two}")));
        let starts = starts.flat_map(|two| pieces.map(|three| format!("{two}{three}")));
        for start in starts {
            let text = format!("{start}cmd()");
            let written = if needs_guard(&text) {
                format!("'{text}")
            } else {
                text.clone()
            };
            let read = Cell::read(&written, ColumnType::Text);
            assert_eq!(read, Some(Cell::Text(&text)), "{text:?}");
            let is_blank = |c: char| c.is_whitespace() || c.is_control() || INVISIBLE.contains(&c);
            let shown = written.trim_start_matches(is_blank);
            assert!(!shown.starts_with(FORMULA_SIGNS), "{written:?}");
        }
    }

    #[test]
    fn an_empty_text_is_absent() {
        for column_type in [
            ColumnType::Text,
            ColumnType::Integer,
            ColumnType::Boolean,
            ColumnType::Moment,
        ] {
            assert_eq!(Cell::read("", column_type), None);
        }
        assert_eq!(
            Cell::read("True", ColumnType::Boolean),
            Some(Cell::Boolean(true))
        );
        assert_eq!(
            Cell::read("yes", ColumnType::Boolean),
            Some(Cell::Text("yes"))
        );
    }
}
