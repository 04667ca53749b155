//! Writing tables row by row. Finished bytes are taken out while more rows come in, so that a table of any length takes
//! little memory.

mod csv;
mod ndjson;
mod parquet;

use base::ids::Id;
use base::{NanoDollars, UnixTime};
use usage::{Dimension, LedgerEntry, Metric};

use crate::column::Column;
use crate::{FileError, Format};

/// The number of bytes from which on text should be taken out.
const FLUSH_BYTES: usize = 64 * 1024;

/// The value of a cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// An empty cell.
    Absent,
    /// Text.
    Text(&'a str),
    /// `true` or `false`.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A time.
    Moment(UnixTime),
    /// An amount of money.
    Dollars(NanoDollars),
}

impl<'a> Value<'a> {
    /// Returns a text, or an empty cell.
    #[must_use]
    pub fn text(text: Option<&'a str>) -> Self {
        text.map_or(Self::Absent, Self::Text)
    }

    /// Returns a whole number, or an empty cell.
    #[must_use]
    pub fn integer(number: Option<i64>) -> Self {
        number.map_or(Self::Absent, Self::Integer)
    }
}

/// A writer of a table.
pub struct TableWriter(FormatWriter);

enum FormatWriter {
    Ndjson(ndjson::NdjsonWriter),
    Csv(csv::CsvWriter),
    Parquet(Box<parquet::ParquetWriter>),
}

impl TableWriter {
    /// Returns the writer of a table with these columns.
    ///
    /// # Errors
    /// Parquet does not allow these columns.
    pub fn new(format: Format, columns: Vec<Column>) -> Result<Self, FileError> {
        Ok(Self(match format {
            Format::Ndjson => FormatWriter::Ndjson(ndjson::NdjsonWriter::new(columns)),
            Format::Csv => FormatWriter::Csv(csv::CsvWriter::new(&columns)),
            Format::Parquet => {
                FormatWriter::Parquet(Box::new(parquet::ParquetWriter::new(&columns)?))
            }
        }))
    }

    /// Adds a row: a value for each column, of the column's type.
    pub fn push<'a>(&mut self, row: impl Iterator<Item = Value<'a>>) {
        match &mut self.0 {
            FormatWriter::Ndjson(lines) => lines.push(row),
            FormatWriter::Csv(rows) => rows.push(row),
            FormatWriter::Parquet(groups) => groups.push(row),
        }
    }

    /// True if bytes should be taken out.
    #[must_use]
    pub fn is_full(&self) -> bool {
        match &self.0 {
            FormatWriter::Ndjson(lines) => lines.text.len() >= FLUSH_BYTES,
            FormatWriter::Csv(rows) => rows.text.len() >= FLUSH_BYTES,
            FormatWriter::Parquet(groups) => groups.is_full(),
        }
    }

    /// Takes the bytes since the last call out. The rows of Parquet become a row group, which takes long.
    ///
    /// # Errors
    /// A value did not fit its column.
    pub fn take(&mut self) -> Result<Vec<u8>, FileError> {
        Ok(match &mut self.0 {
            FormatWriter::Ndjson(lines) => std::mem::take(&mut lines.text),
            FormatWriter::Csv(rows) => std::mem::take(&mut rows.text),
            FormatWriter::Parquet(groups) => groups.take()?,
        })
    }

    /// Returns the rest of the bytes.
    ///
    /// # Errors
    /// A value did not fit its column.
    pub fn finish(self) -> Result<Vec<u8>, FileError> {
        Ok(match self.0 {
            FormatWriter::Ndjson(lines) => lines.text,
            FormatWriter::Csv(rows) => rows.text,
            FormatWriter::Parquet(groups) => groups.finish()?,
        })
    }
}

/// Returns the values of a row of the ledger, in the order of [`ledger_columns`](crate::column::ledger_columns).
pub fn ledger_row(entry: &LedgerEntry) -> impl Iterator<Item = Value<'_>> {
    let event = &entry.event;
    let own = [
        Value::Text(&event.id),
        Value::Moment(event.timestamp),
        Value::Text(event.kind.as_str()),
    ];
    let dimensions = Dimension::ALL.iter().map(|dimension| match dimension {
        Dimension::Batch => Value::Boolean(event.batch),
        _ => Value::text(event.dimension(*dimension)),
    });
    let required = event.kind.required_metrics();
    let numbers = Metric::ALL.iter().map(move |metric| {
        // A failed request lacks these numbers; they count as 0.
        let missing = required.contains(metric).then_some(0);
        Value::integer(event.quantities.get(*metric).or(missing))
    });
    let told = [
        Value::Text(event.organization_id.as_str()),
        Value::Moment(entry.recorded_at),
        Value::Boolean(event.estimated),
        Value::Boolean(entry.unpriced),
        Value::Text(event.outcome.as_str()),
        Value::Dollars(entry.amount),
    ];
    own.into_iter().chain(dimensions).chain(numbers).chain(told)
}

/// Writes a whole number.
fn push_integer(text: &mut Vec<u8>, number: i64) {
    text.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::ColumnType;

    fn column(name: &'static str, column_type: ColumnType) -> Column {
        Column {
            name,
            column_type,
            is_required: false,
        }
    }

    fn written(format: Format, text: &str) -> String {
        let columns = vec![
            column("at", ColumnType::Moment),
            column("name", ColumnType::Text),
            column("batch", ColumnType::Boolean),
            column("count", ColumnType::Integer),
            column("amount", ColumnType::Dollars),
        ];
        let mut table = TableWriter::new(format, columns).expect("a table");
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
    fn csv_conforms_to_rfc_4180() {
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
    fn no_csv_cell_is_a_formula() {
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
    fn a_line_of_json_has_the_fields_that_are_present() {
        assert_eq!(
            written(Format::Ndjson, "a\"b"),
            "{\"at\":1768478400,\"name\":\"a\\\"b\",\"batch\":true,\"count\":-7,\"amount\":-0.010125}\n{}\n"
        );
    }
}
