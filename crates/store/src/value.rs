//! Parameters of statements, and rows of results.

use std::cell::{Cell, RefCell};
use std::error::Error as StdError;

use base::ids::Id;
use base::secret::KeyHash;
use base::{NanoDollars, UnixTime};
use rusqlite::types::{ToSqlOutput, ValueRef};
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{IsNull, ToSql, Type};

use crate::{Error, Result};

/// A parameter of a statement.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// No value.
    Null,
    /// `BIGINT`.
    Integer(i64),
    /// `BOOLEAN`.
    Boolean(bool),
    /// `TEXT`.
    Text(String),
    /// `BYTEA`.
    Bytes(Vec<u8>),
}

impl Value {
    /// Returns a text for display: NUL characters, which PostgreSQL cannot store, are replaced by U+FFFD.
    #[must_use]
    pub fn shown(text: &str) -> Self {
        Self::Text(text.replace('\0', "\u{fffd}"))
    }

    /// Returns the value for binding to a statement.
    ///
    /// # Errors
    /// [`Error::Nul`]: PostgreSQL cannot store the text. SQLite could, but both databases refuse the same values.
    pub(crate) fn storable(&self) -> Result<&Self> {
        match self {
            Self::Text(text) if text.contains('\0') => Err(Error::Nul),
            value => Ok(value),
        }
    }
}

macro_rules! into_value {
    ($($from:ty => |$value:ident| $into:expr;)*) => {$(
        impl From<$from> for Value {
            fn from($value: $from) -> Self { $into }
        }
    )*};
}

into_value! {
    i64 => |value| Self::Integer(value);
    bool => |value| Self::Boolean(value);
    &str => |value| Self::Text(value.to_owned());
    String => |value| Self::Text(value);
    Vec<u8> => |value| Self::Bytes(value);
    UnixTime => |value| Self::Integer(value.0);
    NanoDollars => |value| Self::Integer(value.0);
    KeyHash => |value| Self::Bytes(value.0.to_vec());
    [u8; 32] => |value| Self::Bytes(value.to_vec());
}

impl<I: Id> From<&I> for Value {
    fn from(id: &I) -> Self {
        Self::Text(id.as_str().to_owned())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl rusqlite::ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(value) => ValueRef::Integer(*value),
            Self::Boolean(value) => ValueRef::Integer(i64::from(*value)),
            Self::Text(value) => ValueRef::Text(value.as_bytes()),
            Self::Bytes(value) => ValueRef::Blob(value),
        }))
    }
}

impl ToSql for Value {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Integer(value) => value.to_sql_checked(kind, out),
            Self::Boolean(value) => value.to_sql_checked(kind, out),
            Self::Text(value) => value.to_sql_checked(kind, out),
            Self::Bytes(value) => value.to_sql_checked(kind, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    tokio_postgres::types::to_sql_checked!();
}

/// A row of a result, read by column name.
pub struct Row<'a> {
    row: DriverRow<'a>,
    indexes: &'a ColumnIndexes,
    /// The number of columns read so far.
    reads: Cell<usize>,
}

/// The row in the type of the database's driver.
pub(crate) enum DriverRow<'a> {
    Sqlite(&'a rusqlite::Row<'a>),
    Postgres(&'a tokio_postgres::Row),
}

/// The columns of a result in the order in which the first row was read, with their indexes. Further rows are most likely
/// read in the same order.
#[derive(Default)]
pub(crate) struct ColumnIndexes(RefCell<Vec<(&'static str, usize)>>);

impl ColumnIndexes {
    pub(crate) fn row<'a>(&'a self, row: DriverRow<'a>) -> Row<'a> {
        Row {
            row,
            indexes: self,
            reads: Cell::new(0),
        }
    }
}

impl Row<'_> {
    /// Returns the value of a column.
    ///
    /// # Errors
    /// [`Error::Column`]: the column does not exist, or has another type.
    pub fn get<T: Column>(&self, column: &'static str) -> Result<T> {
        let wrong = |error: String| Error::Column(column.to_owned(), error);
        let index = self.index_of(column);
        let index = index.ok_or_else(|| wrong("is not there".to_owned()))?;
        match self.row {
            DriverRow::Sqlite(row) => row.get(index).map_err(|error| wrong(error.to_string())),
            DriverRow::Postgres(row) => {
                row.try_get(index).map_err(|error| wrong(error.to_string()))
            }
        }
    }

    /// Returns the index of a column. The known indexes come first: comparing all names costs more than reading the value.
    fn index_of(&self, column: &'static str) -> Option<usize> {
        let reads = self.reads.get();
        self.reads.set(reads + 1);
        let mut indexes = self.indexes.0.borrow_mut();
        if let Some((known, index)) = indexes.get(reads)
            && std::ptr::eq(*known, column)
        {
            return Some(*index);
        }
        let has_name = |index: &usize| self.name(*index) == Some(column);
        // Most columns are read in the order in which they stand.
        let index = (reads..self.width()).chain(0..reads).find(has_name)?;
        if reads == indexes.len() {
            indexes.push((column, index));
        }
        Some(index)
    }

    fn name(&self, index: usize) -> Option<&str> {
        match self.row {
            DriverRow::Sqlite(row) => row.as_ref().column_name(index).ok(),
            DriverRow::Postgres(row) => row.columns().get(index).map(tokio_postgres::Column::name),
        }
    }

    fn width(&self) -> usize {
        match self.row {
            DriverRow::Sqlite(row) => row.as_ref().column_count(),
            DriverRow::Postgres(row) => row.len(),
        }
    }

    /// Returns an id.
    ///
    /// # Errors
    /// As [`Row::get`].
    pub fn id<I: Id>(&self, column: &'static str) -> Result<I> {
        self.get(column).map(I::from_text)
    }

    /// Returns an id that may be NULL.
    ///
    /// # Errors
    /// As [`Row::get`].
    pub fn optional_id<I: Id>(&self, column: &'static str) -> Result<Option<I>> {
        Ok(self.get::<Option<String>>(column)?.map(I::from_text))
    }

    /// Returns the hash of a key.
    ///
    /// # Errors
    /// As [`Row::get`], or the value is not 32 bytes long.
    pub fn key_hash(&self, column: &'static str) -> Result<KeyHash> {
        let bytes = <[u8; 32]>::try_from(self.get::<Vec<u8>>(column)?);
        bytes
            .map(KeyHash)
            .map_err(|_| Error::Column(column.to_owned(), "is not 32 bytes".to_owned()))
    }

    /// Returns a time.
    ///
    /// # Errors
    /// As [`Row::get`].
    pub fn time(&self, column: &'static str) -> Result<UnixTime> {
        self.get(column).map(UnixTime)
    }

    /// Returns a time that may be NULL.
    ///
    /// # Errors
    /// As [`Row::get`].
    pub fn optional_time(&self, column: &'static str) -> Result<Option<UnixTime>> {
        Ok(self.get::<Option<i64>>(column)?.map(UnixTime))
    }

    /// Returns the enum variant that a word stands for, as read by `parse`.
    ///
    /// # Errors
    /// As [`Row::get`], or `parse` returned `None`.
    pub fn word<T>(&self, column: &'static str, parse: fn(&str) -> Option<T>) -> Result<T> {
        let word: String = self.get(column)?;
        parse(&word)
            .ok_or_else(|| Error::Column(column.to_owned(), format!("unknown word {word:?}")))
    }
}

/// A type that a column can be read as: `i64`, `bool`, `String`, `Vec<u8>`, `[u8; 32]`, and options of these.
pub trait Column: rusqlite::types::FromSql + for<'a> tokio_postgres::types::FromSql<'a> {}

impl<T: rusqlite::types::FromSql + for<'a> tokio_postgres::types::FromSql<'a>> Column for T {}
