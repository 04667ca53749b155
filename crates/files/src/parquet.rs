//! Reading Parquet: a column for each field. Row groups are read one after the other, each column in portions.

mod values;

use std::fs::File;

use ::parquet::file::reader::{FileReader, SerializedFileReader};

use crate::cell;
use crate::column::{Column, columns_named};
use crate::{FileError, ReadPosition, Row, RowReader};
use values::{ColumnValues, Conversion};

/// A reader of the rows of a Parquet file.
pub(crate) struct ParquetReader {
    file: SerializedFileReader<File>,
    columns: Vec<Column>,
    conversions: Vec<Conversion>,
    /// The columns of the row group that is being read.
    values: Vec<ColumnValues>,
    /// The next row group.
    next_group: usize,
    position: ReadPosition,
}

impl ParquetReader {
    pub(crate) fn open(file: File) -> Result<Self, FileError> {
        let file = SerializedFileReader::new(file)?;
        let about = file.metadata().file_metadata();
        let schema = about.schema_descr();
        let fields = schema.root_schema().get_fields();
        let columns = columns_named(fields.iter().map(|field| field.name()))?;
        if schema.num_columns() != fields.len() {
            return Err(FileError::Columns(
                "a column has columns or lists in it".to_owned(),
            ));
        }
        let conversions = columns.iter().zip(schema.columns());
        let conversions = conversions
            .map(|(column, is)| Conversion::of(*column, is))
            .collect::<Result<_, _>>()?;
        let rows = u64::try_from(about.num_rows()).ok();
        Ok(Self {
            columns,
            conversions,
            values: Vec::new(),
            next_group: 0,
            position: ReadPosition { done: 0, of: rows },
            file,
        })
    }

    /// Loads the next rows. Returns their number, 0 at the end.
    fn load(&mut self, limit: usize) -> Result<usize, FileError> {
        loop {
            let mut counts = Vec::with_capacity(self.columns.len());
            for values in &mut self.values {
                counts.push(values.load(limit)?);
            }
            match counts.first() {
                Some(&count) if counts.iter().any(|other| *other != count) => {
                    return Err(FileError::Columns(
                        "the columns have different lengths".to_owned(),
                    ));
                }
                Some(&count) if count > 0 => return Ok(count),
                _ if self.next_group == self.file.num_row_groups() => return Ok(0),
                _ => self.enter_next_group()?,
            }
        }
    }

    fn enter_next_group(&mut self) -> Result<(), FileError> {
        let group = self.file.get_row_group(self.next_group)?;
        self.next_group += 1;
        self.values.clear();
        for (index, conversion) in self.conversions.iter().enumerate() {
            let reader = group.get_column_reader(index)?;
            self.values.push(ColumnValues::new(reader, *conversion));
        }
        Ok(())
    }
}

impl RowReader for ParquetReader {
    fn read(&mut self, limit: usize, take: &mut dyn FnMut(Row<'_>)) -> Result<usize, FileError> {
        let count = self.load(limit)?;
        for index in 0..count {
            self.position.done += 1;
            let cells = self.values.iter().map(|values| values.cell(index));
            take(Row {
                number: self.position.done,
                event: cell::event(&self.columns, cells),
            });
        }
        Ok(count)
    }

    fn skip(&mut self, rows: u64) -> Result<(), FileError> {
        /// The most rows that are decoded at once.
        const MAX_SKIPPED_ROWS: u64 = 2_000;
        let mut left = rows;
        while left > 0 {
            let groups = self.file.metadata().row_groups();
            let next = groups.get(self.next_group).map(|group| group.num_rows());
            let whole = next.and_then(|rows| u64::try_from(rows).ok());
            if let Some(whole) = whole.filter(|whole| self.values.is_empty() && *whole <= left) {
                self.next_group += 1;
                self.position.done += whole;
                left -= whole;
                continue;
            }
            let limit = usize::try_from(left.min(MAX_SKIPPED_ROWS)).unwrap_or(usize::MAX);
            let count = u64::try_from(self.load(limit)?).unwrap_or(0);
            if count == 0 {
                break;
            }
            self.position.done += count;
            left -= count;
        }
        Ok(())
    }

    fn position(&self) -> ReadPosition {
        self.position
    }
}
