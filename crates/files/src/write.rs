//! Tables that are written, row by row: their bytes are taken out while more rows come in, so that one of any length takes
//! little memory.

mod csv;
mod ndjson;
mod parquet;

use base::{NanoDollars, UnixTime};

use crate::column::Column;
use crate::{FileError, Format};

/// From how many bytes on text is worth taking out.
const ENOUGH: usize = 64 * 1024;

/// What stands in a row under a column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// Nothing.
    Absent,
    /// Text.
    Text(&'a str),
    /// `true` or `false`.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A moment.
    Moment(UnixTime),
    /// An amount of money.
    Dollars(NanoDollars),
}

impl<'a> Value<'a> {
    /// Text, where there is one.
    #[must_use]
    pub fn text(text: Option<&'a str>) -> Self {
        text.map_or(Self::Absent, Self::Text)
    }

    /// A whole number, where there is one.
    #[must_use]
    pub fn integer(number: Option<i64>) -> Self {
        number.map_or(Self::Absent, Self::Integer)
    }
}

/// A table that is being written.
pub struct Table(Kind);

enum Kind {
    Ndjson(ndjson::Lines),
    Csv(csv::Rows),
    Parquet(Box<parquet::Groups>),
}

impl Table {
    /// One with these columns and no rows.
    ///
    /// # Errors
    /// Parquet does not allow these columns.
    pub fn new(format: Format, columns: Vec<Column>) -> Result<Self, FileError> {
        Ok(Self(match format {
            Format::Ndjson => Kind::Ndjson(ndjson::Lines::new(columns)),
            Format::Csv => Kind::Csv(csv::Rows::new(&columns)),
            Format::Parquet => Kind::Parquet(Box::new(parquet::Groups::new(&columns)?)),
        }))
    }

    /// Adds a row: a value for each column, of its shape.
    pub fn push<'a>(&mut self, row: impl Iterator<Item = Value<'a>>) {
        match &mut self.0 {
            Kind::Ndjson(lines) => lines.push(row),
            Kind::Csv(rows) => rows.push(row),
            Kind::Parquet(groups) => groups.push(row),
        }
    }

    /// Whether it is time to take something out.
    #[must_use]
    pub fn is_full(&self) -> bool {
        match &self.0 {
            Kind::Ndjson(lines) => lines.text.len() >= ENOUGH,
            Kind::Csv(rows) => rows.text.len() >= ENOUGH,
            Kind::Parquet(groups) => groups.is_full(),
        }
    }

    /// Takes out what follows the bytes that were taken before. The rows of Parquet become a row group, which takes long.
    ///
    /// # Errors
    /// A value did not fit its column.
    pub fn take(&mut self) -> Result<Vec<u8>, FileError> {
        Ok(match &mut self.0 {
            Kind::Ndjson(lines) => std::mem::take(&mut lines.text),
            Kind::Csv(rows) => std::mem::take(&mut rows.text),
            Kind::Parquet(groups) => groups.take()?,
        })
    }

    /// The rest of the bytes.
    ///
    /// # Errors
    /// As [`Table::take`].
    pub fn finish(self) -> Result<Vec<u8>, FileError> {
        Ok(match self.0 {
            Kind::Ndjson(lines) => lines.text,
            Kind::Csv(rows) => rows.text,
            Kind::Parquet(groups) => groups.finish()?,
        })
    }
}

/// Writes a whole number.
fn push_integer(text: &mut Vec<u8>, number: i64) {
    text.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::Shape;

    fn column(name: &'static str, shape: Shape) -> Column {
        Column {
            name,
            shape,
            is_required: false,
        }
    }

    fn written(format: Format, text: &str) -> String {
        let columns = vec![
            column("at", Shape::Moment),
            column("name", Shape::Text),
            column("batch", Shape::Boolean),
            column("count", Shape::Integer),
            column("amount", Shape::Dollars),
        ];
        let mut table = Table::new(format, columns).expect("a table");
        let row = [
            Value::Moment(UnixTime(1_768_478_400)),
            Value::Text(text),
            Value::Boolean(true),
            Value::Integer(-7),
            Value::Dollars(NanoDollars(-10_125_000)),
        ];
        table.push(row.into_iter());
        table.push([Value::Absent; 5].into_iter());
        String::from_utf8(table.finish().expect("bytes")).expect("text")
    }

    #[test]
    fn csv_is_as_rfc_4180_says() {
        assert_eq!(
            written(Format::Csv, "a"),
            "at,name,batch,count,amount\r\n2026-01-15T12:00:00Z,a,true,-7,-0.010125\r\n,,,,\r\n"
        );
        for (text, cell) in [
            ("a,b", "\"a,b\""),
            ("say \"a\"", "\"say \"\"a\"\"\""),
            ("a\nb", "\"a\nb\""),
            ("a\rb", "\"a\rb\""),
            ("ü", "ü"),
        ] {
            assert!(written(Format::Csv, text).contains(&format!("Z,{cell},true")));
        }
    }

    #[test]
    fn low_csv_no_cell_is_a_formula() {
        for (text, cell) in [
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\tx", "'\tx"),
            ("\rx", "\"'\rx\""),
            (
                "=HYPERLINK(\"x\",\"y\")",
                "\"'=HYPERLINK(\"\"x\"\",\"\"y\"\")\"",
            ),
            (" =cmd()", "' =cmd()"),
            ("\u{a0}-1", "'\u{a0}-1"),
            ("\nx", "\"'\nx\""),
            ("\u{feff}=1", "'\u{feff}=1"),
            ("＝cmd()", "'＝cmd()"),
            ("＋1", "'＋1"),
            ("－1", "'－1"),
            ("＠SUM(A1)", "'＠SUM(A1)"),
            ("'=1", "''=1"),
            ("'a", "'a"),
            ("a=1", "a=1"),
        ] {
            assert!(
                written(Format::Csv, text).contains(&format!("Z,{cell},true")),
                "{text}"
            );
        }
    }

    #[test]
    fn a_line_of_json_has_what_there_is() {
        assert_eq!(
            written(Format::Ndjson, "a\"b"),
            "{\"at\":1768478400,\"name\":\"a\\\"b\",\"batch\":true,\"count\":-7,\"amount\":-0.010125}\n{}\n"
        );
    }
}
