//! Writing Parquet: typed columns in row groups of bounded size. Times are TIMESTAMP in milliseconds of UTC, money is
//! an exact DECIMAL(38, 9) in dollars.

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
use crate::column::{Column, ColumnType};

/// The most rows of a row group.
const MAX_GROUP_ROWS: usize = 32_768;
/// The size of a decimal.
const DECIMAL_BYTES: i32 = 16;
/// The number of digits of a decimal, and of those after the point.
const DECIMAL_DIGITS: (i32, i32) = (38, 9);

/// A writer of Parquet.
pub(super) struct ParquetWriter {
    file: SerializedFileWriter<Vec<u8>>,
    /// The columns of the next row group.
    columns: Vec<ColumnBuffer>,
    rows: usize,
}

/// The values of a column in the next row group.
struct ColumnBuffer {
    /// The definition level of each row: 1 if there is a value.
    levels: Vec<i16>,
    is_required: bool,
    values: ColumnData,
}

enum ColumnData {
    Text(Vec<ByteArray>),
    Boolean(Vec<bool>),
    Integer(Vec<i64>),
    Decimal(Vec<FixedLenByteArray>),
}

impl ParquetWriter {
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
            columns: columns.iter().map(ColumnBuffer::of).collect(),
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
        self.rows >= MAX_GROUP_ROWS
    }

    pub(super) fn take(&mut self) -> Result<Vec<u8>, FileError> {
        self.write()?;
        Ok(std::mem::take(self.file.inner_mut()))
    }

    pub(super) fn finish(mut self) -> Result<Vec<u8>, FileError> {
        self.write()?;
        Ok(self.file.into_inner()?)
    }

    /// Writes the buffered rows as a row group.
    fn write(&mut self) -> Result<(), FileError> {
        if self.rows == 0 {
            return Ok(());
        }
        let mut group = self.file.next_row_group()?;
        for column_buffer in &mut self.columns {
            let Some(mut column) = group.next_column()? else {
                break;
            };
            let levels = (!column_buffer.is_required).then_some(&*column_buffer.levels);
            match &mut column_buffer.values {
                ColumnData::Text(values) => write(column.typed::<ByteArrayType>(), values, levels),
                ColumnData::Boolean(values) => write(column.typed::<BoolType>(), values, levels),
                ColumnData::Integer(values) => write(column.typed::<Int64Type>(), values, levels),
                ColumnData::Decimal(values) => {
                    write(column.typed::<FixedLenByteArrayType>(), values, levels)
                }
            }?;
            column.close()?;
            column_buffer.levels.clear();
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
    let (precision, scale) = DECIMAL_DIGITS;
    let (physical, logical) = match column.column_type {
        ColumnType::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        ColumnType::Boolean => (Physical::BOOLEAN, None),
        ColumnType::Integer => (Physical::INT64, None),
        ColumnType::Moment => {
            let moment = LogicalType::timestamp(true, TimeUnit::MILLIS);
            (Physical::INT64, Some(moment))
        }
        ColumnType::Dollars => {
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
    if column.column_type == ColumnType::Dollars {
        field = field
            .with_length(DECIMAL_BYTES)
            .with_precision(precision)
            .with_scale(scale);
    }
    field.build().map(Arc::new)
}

impl ColumnBuffer {
    fn of(column: &Column) -> Self {
        Self {
            levels: Vec::new(),
            is_required: column.is_required,
            values: match column.column_type {
                ColumnType::Text => ColumnData::Text(Vec::new()),
                ColumnType::Boolean => ColumnData::Boolean(Vec::new()),
                ColumnType::Integer | ColumnType::Moment => ColumnData::Integer(Vec::new()),
                ColumnType::Dollars => ColumnData::Decimal(Vec::new()),
            },
        }
    }

    fn push(&mut self, value: Value<'_>) {
        let is_there = match (&mut self.values, value) {
            (ColumnData::Text(texts), Value::Text(text)) => {
                texts.push(text.into());
                true
            }
            (ColumnData::Boolean(booleans), Value::Boolean(boolean)) => {
                booleans.push(boolean);
                true
            }
            (ColumnData::Integer(numbers), Value::Integer(number)) => {
                numbers.push(number);
                true
            }
            (ColumnData::Integer(numbers), Value::Moment(time)) => {
                numbers.push(time.0.saturating_mul(1_000));
                true
            }
            (ColumnData::Decimal(amounts), Value::Dollars(amount)) => {
                let bytes = i128::from(amount.0).to_be_bytes().to_vec();
                amounts.push(ByteArray::from(bytes).into());
                true
            }
            (_, value) => {
                debug_assert_eq!(value, Value::Absent, "a value has its column's column_type");
                false
            }
        };
        self.levels.push(i16::from(is_there));
    }
}
