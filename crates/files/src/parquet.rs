//! Parquet: a column for each field; row groups are read one after the other, some rows of each column at a time.

mod values;

use std::fs::File;

use ::parquet::file::reader::{FileReader, SerializedFileReader};

use crate::cell;
use crate::column::{Column, named};
use crate::{FileError, Position, Row, Rows};
use values::{Kind, Values};

/// The rows of a Parquet file.
pub(crate) struct Table {
    file: SerializedFileReader<File>,
    columns: Vec<Column>,
    kinds: Vec<Kind>,
    /// The columns of the row group that is being read.
    values: Vec<Values>,
    /// The next row group.
    next_group: usize,
    position: Position,
}

impl Table {
    pub(crate) fn open(file: File) -> Result<Self, FileError> {
        let file = SerializedFileReader::new(file)?;
        let about = file.metadata().file_metadata();
        let schema = about.schema_descr();
        let fields = schema.root_schema().get_fields();
        let columns = named(fields.iter().map(|field| field.name()))?;
        if schema.num_columns() != fields.len() {
            return Err(FileError::Columns(
                "a column has columns or lists in it".to_owned(),
            ));
        }
        let kinds = columns.iter().zip(schema.columns());
        let kinds = kinds
            .map(|(column, is)| Kind::of(*column, is))
            .collect::<Result<_, _>>()?;
        let rows = u64::try_from(about.num_rows()).ok();
        Ok(Self {
            columns,
            kinds,
            values: Vec::new(),
            next_group: 0,
            position: Position { done: 0, of: rows },
            file,
        })
    }

    /// Reads the next rows; how many there are, 0 at the end.
    fn load(&mut self, most: usize) -> Result<usize, FileError> {
        loop {
            let mut counts = Vec::with_capacity(self.columns.len());
            for values in &mut self.values {
                counts.push(values.load(most)?);
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
        for (index, kind) in self.kinds.iter().enumerate() {
            let reader = group.get_column_reader(index)?;
            self.values.push(Values::new(reader, *kind));
        }
        Ok(())
    }
}

impl Rows for Table {
    fn read(&mut self, most: usize, take: &mut dyn FnMut(Row<'_>)) -> Result<usize, FileError> {
        let count = self.load(most)?;
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
        /// How many rows of a row group are in memory at once.
        const AT_ONCE: u64 = 2_000;
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
            let most = usize::try_from(left.min(AT_ONCE)).unwrap_or(usize::MAX);
            let count = u64::try_from(self.load(most)?).unwrap_or(0);
            if count == 0 {
                break;
            }
            self.position.done += count;
            left -= count;
        }
        Ok(())
    }

    fn position(&self) -> Position {
        self.position
    }
}
