//! The values of one column of Parquet.

use ::parquet::basic::{ConvertedType, LogicalType, TimeUnit, Type};
use ::parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use ::parquet::data_type::{ByteArray, DataType};
use ::parquet::schema::types::ColumnDescriptor;

use crate::FileError;
use crate::cell::Cell;
use crate::column::{Column, Shape};

/// How a column's values are to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// As they are.
    Plain,
    /// As moments, of which so many are a second.
    PerSecond(i64),
}

impl Kind {
    /// How a column's values are to be taken that are of this type.
    pub(super) fn of(column: Column, is: &ColumnDescriptor) -> Result<Self, FileError> {
        let fits = match (column.shape, is.physical_type()) {
            (Shape::Text, Type::BYTE_ARRAY) | (Shape::Boolean, Type::BOOLEAN) => Some(Self::Plain),
            (Shape::Integer | Shape::Moment, Type::DOUBLE | Type::FLOAT) => Some(Self::Plain),
            (Shape::Integer, Type::INT32 | Type::INT64) => counts(is),
            (Shape::Moment, Type::INT32 | Type::INT64) => counts(is).or_else(|| moments(is)),
            // What money there is in a row is computed anew.
            (Shape::Dollars, _) => Some(Self::Plain),
            _ => None,
        };
        fits.filter(|_| is.max_rep_level() == 0).ok_or_else(|| {
            let wanted = match column.shape {
                Shape::Text => "text",
                Shape::Boolean => "true or false",
                Shape::Integer => "whole numbers",
                Shape::Moment => "seconds since 1970 as whole numbers, or of the type TIMESTAMP",
                Shape::Dollars => "an amount",
            };
            let (name, found) = (column.name, is.physical_type());
            let logical = match is.logical_type_ref() {
                Some(logical) => format!(" ({logical:?})"),
                None => String::new(),
            };
            FileError::Columns(format!(
                "the column {name:?} is {found}{logical}, and must be {wanted}"
            ))
        })
    }
}

/// Whether they are plain whole numbers, not parts of a day or decimals.
fn counts(is: &ColumnDescriptor) -> Option<Kind> {
    let is_plain = match (is.logical_type_ref(), is.converted_type()) {
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
    is_plain.then_some(Kind::Plain)
}

fn moments(is: &ColumnDescriptor) -> Option<Kind> {
    let unit = match (is.logical_type_ref(), is.converted_type()) {
        (Some(LogicalType::Timestamp(moment)), _) => match moment.unit {
            TimeUnit::MILLIS => 1_000,
            TimeUnit::MICROS => 1_000_000,
            TimeUnit::NANOS => 1_000_000_000,
        },
        (None, ConvertedType::TIMESTAMP_MILLIS) => 1_000,
        (None, ConvertedType::TIMESTAMP_MICROS) => 1_000_000,
        _ => return None,
    };
    Some(Kind::PerSecond(unit))
}

/// A value, unless there is none.
enum Value {
    Text(ByteArray),
    Integer(i64),
    Number(f64),
    Boolean(bool),
    /// Something that no event has.
    Other,
}

/// Some values of a column, one for each row.
pub(super) struct Values {
    reader: ColumnReader,
    kind: Kind,
    rows: Vec<Option<Value>>,
}

impl Values {
    pub(super) fn new(reader: ColumnReader, kind: Kind) -> Self {
        Self {
            reader,
            kind,
            rows: Vec::new(),
        }
    }

    /// Reads the values of the next rows; of how many.
    pub(super) fn load(&mut self, most: usize) -> Result<usize, FileError> {
        use ColumnReader as C;
        let per_second = match self.kind {
            Kind::Plain => 1,
            Kind::PerSecond(unit) => unit,
        };
        let second = |value: i64| Value::Integer(value.div_euclid(per_second));
        self.rows = match &mut self.reader {
            C::BoolColumnReader(reader) => read(reader, most, Value::Boolean)?,
            C::Int32ColumnReader(reader) => read(reader, most, |value| second(value.into()))?,
            C::Int64ColumnReader(reader) => read(reader, most, second)?,
            C::FloatColumnReader(reader) => {
                read(reader, most, |value| Value::Number(value.into()))?
            }
            C::DoubleColumnReader(reader) => read(reader, most, Value::Number)?,
            C::ByteArrayColumnReader(reader) => read(reader, most, Value::Text)?,
            C::FixedLenByteArrayColumnReader(reader) => read(reader, most, |_| Value::Other)?,
            C::Int96ColumnReader(reader) => read(reader, most, |_| Value::Other)?,
        };
        Ok(self.rows.len())
    }

    /// What stands in one of the rows.
    pub(super) fn cell(&self, row: usize) -> Option<Cell<'_>> {
        match self.rows.get(row)?.as_ref()? {
            Value::Text(bytes) => Some(match std::str::from_utf8(bytes.data()) {
                Ok(text) => Cell::Text(text),
                Err(_) => Cell::Bytes(bytes.data()),
            }),
            Value::Integer(number) => Some(Cell::Integer(*number)),
            Value::Number(number) => Cell::number(*number),
            Value::Boolean(boolean) => Some(Cell::Boolean(*boolean)),
            Value::Other => None,
        }
    }
}

/// Reads the next rows of a column, with what is absent in its place.
fn read<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    most: usize,
    value: impl Fn(T::T) -> Value,
) -> Result<Vec<Option<Value>>, FileError> {
    let (mut levels, mut values) = (Vec::new(), Vec::new());
    let (rows, ..) = reader.read_records(most, Some(&mut levels), None, &mut values)?;
    let mut values = values.into_iter().map(value);
    if levels.is_empty() {
        // Of a required column.
        return Ok(values.map(Some).collect());
    }
    let is_there = levels.into_iter().take(rows).map(|level| level > 0);
    Ok(is_there
        .map(|there| if there { values.next() } else { None })
        .collect())
}
