//! The values of one column of Parquet.

use ::parquet::basic::{ConvertedType, LogicalType, TimeUnit, Type};
use ::parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use ::parquet::data_type::{ByteArray, DataType};
use ::parquet::schema::types::ColumnDescriptor;

use crate::FileError;
use crate::cell::Cell;
use crate::column::{Column, ColumnType};

/// The conversion of the values of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Conversion {
    /// Values are taken as they are.
    Plain,
    /// Values are times in units of which so many are a second.
    PerSecond(i64),
}

impl Conversion {
    /// Returns the conversion from the type in the file to that of the column.
    pub(super) fn of(column: Column, descriptor: &ColumnDescriptor) -> Result<Self, FileError> {
        let fits = match (column.column_type, descriptor.physical_type()) {
            (ColumnType::Text, Type::BYTE_ARRAY) | (ColumnType::Boolean, Type::BOOLEAN) => {
                Some(Self::Plain)
            }
            (ColumnType::Integer | ColumnType::Moment, Type::DOUBLE | Type::FLOAT) => {
                Some(Self::Plain)
            }
            (ColumnType::Integer, Type::INT32 | Type::INT64) => integers(descriptor),
            (ColumnType::Moment, Type::INT32 | Type::INT64) => {
                integers(descriptor).or_else(|| timestamps(descriptor))
            }
            // Amounts are computed again, so theirs are ignored.
            (ColumnType::Dollars, _) => Some(Self::Plain),
            _ => None,
        };
        fits.filter(|_| descriptor.max_rep_level() == 0)
            .ok_or_else(|| {
                let wanted = match column.column_type {
                    ColumnType::Text => "text",
                    ColumnType::Boolean => "true or false",
                    ColumnType::Integer => "whole numbers",
                    ColumnType::Moment => {
                        "seconds since 1970 as whole numbers, or of the type TIMESTAMP"
                    }
                    ColumnType::Dollars => "an amount",
                };
                let (name, found) = (column.name, descriptor.physical_type());
                let logical = match descriptor.logical_type_ref() {
                    Some(logical) => format!(" ({logical:?})"),
                    None => String::new(),
                };
                FileError::Columns(format!(
                    "the column {name:?} is {found}{logical}, and must be {wanted}"
                ))
            })
    }
}

/// Accepts plain integers, but no dates, times or decimals.
fn integers(descriptor: &ColumnDescriptor) -> Option<Conversion> {
    let is_plain = match (descriptor.logical_type_ref(), descriptor.converted_type()) {
        (Some(logical), _) => matches!(logical, LogicalType::Integer { .. }),
        (None, converted) => !matches!(
            converted,
            ConvertedType::DECIMAL
                | ConvertedType::DATE
                | ConvertedType::TIME_MILLIS
                | ConvertedType::TIME_MICROS
                | ConvertedType::TIMESTAMP_MILLIS
                | ConvertedType::TIMESTAMP_MICROS
        ),
    };
    is_plain.then_some(Conversion::Plain)
}

fn timestamps(descriptor: &ColumnDescriptor) -> Option<Conversion> {
    let unit = match (descriptor.logical_type_ref(), descriptor.converted_type()) {
        (Some(LogicalType::Timestamp(moment)), _) => match moment.unit {
            TimeUnit::MILLIS => 1_000,
            TimeUnit::MICROS => 1_000_000,
            TimeUnit::NANOS => 1_000_000_000,
        },
        (None, ConvertedType::TIMESTAMP_MILLIS) => 1_000,
        (None, ConvertedType::TIMESTAMP_MICROS) => 1_000_000,
        _ => return None,
    };
    Some(Conversion::PerSecond(unit))
}

/// A value of a column.
enum ColumnValue {
    Text(ByteArray),
    Integer(i64),
    Number(f64),
    Boolean(bool),
    /// A value of a type that no event has.
    Other,
}

/// The values of a column in a portion of rows.
pub(super) struct ColumnValues {
    reader: ColumnReader,
    conversion: Conversion,
    rows: Vec<Option<ColumnValue>>,
}

impl ColumnValues {
    pub(super) fn new(reader: ColumnReader, conversion: Conversion) -> Self {
        Self {
            reader,
            conversion,
            rows: Vec::new(),
        }
    }

    /// Loads the values of the next rows. Returns their number.
    pub(super) fn load(&mut self, limit: usize) -> Result<usize, FileError> {
        use ColumnReader as C;
        let per_second = match self.conversion {
            Conversion::Plain => 1,
            Conversion::PerSecond(unit) => unit,
        };
        let second = |value: i64| ColumnValue::Integer(value.div_euclid(per_second));
        self.rows = match &mut self.reader {
            C::BoolColumnReader(reader) => read(reader, limit, ColumnValue::Boolean)?,
            C::Int32ColumnReader(reader) => read(reader, limit, |value| second(value.into()))?,
            C::Int64ColumnReader(reader) => read(reader, limit, second)?,
            C::FloatColumnReader(reader) => {
                read(reader, limit, |value| ColumnValue::Number(value.into()))?
            }
            C::DoubleColumnReader(reader) => read(reader, limit, ColumnValue::Number)?,
            C::ByteArrayColumnReader(reader) => read(reader, limit, ColumnValue::Text)?,
            C::FixedLenByteArrayColumnReader(reader) => {
                read(reader, limit, |_| ColumnValue::Other)?
            }
            C::Int96ColumnReader(reader) => read(reader, limit, |_| ColumnValue::Other)?,
        };
        Ok(self.rows.len())
    }

    /// Returns the cell of a row.
    pub(super) fn cell(&self, row: usize) -> Option<Cell<'_>> {
        match self.rows.get(row)?.as_ref()? {
            ColumnValue::Text(bytes) => Some(match std::str::from_utf8(bytes.data()) {
                Ok(text) => Cell::Text(text),
                Err(_) => Cell::Bytes(bytes.data()),
            }),
            ColumnValue::Integer(number) => Some(Cell::Integer(*number)),
            ColumnValue::Number(number) => Cell::number(*number),
            ColumnValue::Boolean(boolean) => Some(Cell::Boolean(*boolean)),
            ColumnValue::Other => None,
        }
    }
}

/// Reads the values of the next rows, `None` for those that are absent.
fn read<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    limit: usize,
    value: impl Fn(T::T) -> ColumnValue,
) -> Result<Vec<Option<ColumnValue>>, FileError> {
    let (mut levels, mut values) = (Vec::new(), Vec::new());
    let (rows, ..) = reader.read_records(limit, Some(&mut levels), None, &mut values)?;
    let mut values = values.into_iter().map(value);
    if levels.is_empty() {
        // A required column has no levels.
        return Ok(values.map(Some).collect());
    }
    let is_there = levels.into_iter().take(rows).map(|level| level > 0);
    Ok(is_there
        .map(|there| if there { values.next() } else { None })
        .collect())
}
