//! Parquet: typed columns in row groups of bounded size. Moments are TIMESTAMP in milliseconds of UTC, money is an exact
//! DECIMAL(38, 9): dollars, to the billionth.

use std::sync::Arc;

use ::parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical};
use ::parquet::column::writer::ColumnWriterImpl;
use ::parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType, FixedLenByteArray, FixedLenByteArrayType,
    Int64Type,
};
use ::parquet::errors::ParquetError;
use ::parquet::file::properties::{EnabledStatistics, WriterProperties};
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::types::{Type, TypePtr};

use super::Value;
use crate::FileError;
use crate::column::{Column, Shape};

/// How many rows a row group has at the most.
const MOST_ROWS: usize = 32_768;
/// How many bytes a decimal has, digits, and digits after the point.
const DECIMAL: (i32, i32, i32) = (16, 38, 9);

/// Row groups that are being written.
pub(super) struct Groups {
    file: SerializedFileWriter<Vec<u8>>,
    /// The columns of the next row group.
    columns: Vec<Cells>,
    rows: usize,
}

/// What stands in a column.
struct Cells {
    /// For each row whether there is something; empty where something must be.
    levels: Vec<i16>,
    is_required: bool,
    values: Values,
}

enum Values {
    Text(Vec<ByteArray>),
    Boolean(Vec<bool>),
    Integer(Vec<i64>),
    Decimal(Vec<FixedLenByteArray>),
}

impl Groups {
    pub(super) fn new(columns: &[Column]) -> Result<Self, FileError> {
        let fields = columns.iter().map(field);
        let schema = Type::group_type_builder("orgplane")
            .with_fields(fields.collect::<Result<_, ParquetError>>()?)
            .build()?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by(concat!("orgplane ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_offset_index_disabled(true)
            .build();
        let file = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties))?;
        Ok(Self {
            file,
            columns: columns.iter().map(Cells::of).collect(),
            rows: 0,
        })
    }

    pub(super) fn push<'a>(&mut self, row: impl Iterator<Item = Value<'a>>) {
        for (column, value) in self.columns.iter_mut().zip(row) {
            column.push(value);
        }
        self.rows += 1;
    }

    pub(super) fn is_full(&self) -> bool {
        self.rows >= MOST_ROWS
    }

    pub(super) fn take(&mut self) -> Result<Vec<u8>, FileError> {
        self.write()?;
        Ok(std::mem::take(self.file.inner_mut()))
    }

    pub(super) fn finish(mut self) -> Result<Vec<u8>, FileError> {
        self.write()?;
        Ok(self.file.into_inner()?)
    }

    /// Writes the rows as a row group.
    fn write(&mut self) -> Result<(), FileError> {
        if self.rows == 0 {
            return Ok(());
        }
        let mut group = self.file.next_row_group()?;
        for cells in &mut self.columns {
            let Some(mut column) = group.next_column()? else {
                break;
            };
            let levels = (!cells.is_required).then_some(&*cells.levels);
            match &mut cells.values {
                Values::Text(values) => write(column.typed::<ByteArrayType>(), values, levels),
                Values::Boolean(values) => write(column.typed::<BoolType>(), values, levels),
                Values::Integer(values) => write(column.typed::<Int64Type>(), values, levels),
                Values::Decimal(values) => {
                    write(column.typed::<FixedLenByteArrayType>(), values, levels)
                }
            }?;
            column.close()?;
            cells.levels.clear();
        }
        group.close()?;
        self.rows = 0;
        Ok(())
    }
}

fn write<T: DataType>(
    column: &mut ColumnWriterImpl<'_, T>,
    values: &mut Vec<T::T>,
    levels: Option<&[i16]>,
) -> Result<(), ParquetError> {
    column.write_batch(values, levels, None)?;
    values.clear();
    Ok(())
}

fn field(column: &Column) -> Result<TypePtr, ParquetError> {
    let (bytes, precision, scale) = DECIMAL;
    let (physical, logical) = match column.shape {
        Shape::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        Shape::Boolean => (Physical::BOOLEAN, None),
        Shape::Integer => (Physical::INT64, None),
        Shape::Moment => {
            let moment = LogicalType::timestamp(true, TimeUnit::MILLIS);
            (Physical::INT64, Some(moment))
        }
        Shape::Dollars => {
            let decimal = LogicalType::decimal(scale, precision);
            (Physical::FIXED_LEN_BYTE_ARRAY, Some(decimal))
        }
    };
    let repetition = if column.is_required {
        Repetition::REQUIRED
    } else {
        Repetition::OPTIONAL
    };
    let mut field = Type::primitive_type_builder(column.name, physical)
        .with_repetition(repetition)
        .with_logical_type(logical);
    if column.shape == Shape::Dollars {
        field = field
            .with_length(bytes)
            .with_precision(precision)
            .with_scale(scale);
    }
    field.build().map(Arc::new)
}

impl Cells {
    fn of(column: &Column) -> Self {
        Self {
            levels: Vec::new(),
            is_required: column.is_required,
            values: match column.shape {
                Shape::Text => Values::Text(Vec::new()),
                Shape::Boolean => Values::Boolean(Vec::new()),
                Shape::Integer | Shape::Moment => Values::Integer(Vec::new()),
                Shape::Dollars => Values::Decimal(Vec::new()),
            },
        }
    }

    fn push(&mut self, value: Value<'_>) {
        let is_there = match (&mut self.values, value) {
            (Values::Text(texts), Value::Text(text)) => {
                texts.push(text.into());
                true
            }
            (Values::Boolean(booleans), Value::Boolean(boolean)) => {
                booleans.push(boolean);
                true
            }
            (Values::Integer(numbers), Value::Integer(number)) => {
                numbers.push(number);
                true
            }
            (Values::Integer(numbers), Value::Moment(time)) => {
                numbers.push(time.0.saturating_mul(1_000));
                true
            }
            (Values::Decimal(amounts), Value::Dollars(amount)) => {
                let bytes = i128::from(amount.0).to_be_bytes().to_vec();
                amounts.push(ByteArray::from(bytes).into());
                true
            }
            (_, value) => {
                debug_assert_eq!(value, Value::Absent, "a value has its column's shape");
                false
            }
        };
        self.levels.push(i16::from(is_there));
    }
}
