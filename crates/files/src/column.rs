//! The columns of a table of events: their names, which are those of an event's fields, and their types.

use usage::{Dimension, Metric};

use crate::FileError;

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// Text.
    Text,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// A time: seconds since 1970 as a whole number, or the table's own type of timestamps.
    Moment,
    /// An amount of money in US dollars, to the billionth.
    Dollars,
}

/// A column of a table of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// The name.
    pub name: &'static str,
    /// The type.
    pub column_type: ColumnType,
    /// True if every event must have a value.
    pub is_required: bool,
}

impl Column {
    /// Returns a column in which every event must have a value.
    #[must_use]
    pub fn required(name: &'static str, column_type: ColumnType) -> Self {
        Self {
            name,
            column_type,
            is_required: true,
        }
    }

    /// Returns a column in which events may have no value.
    #[must_use]
    pub fn optional(name: &'static str, column_type: ColumnType) -> Self {
        Self {
            is_required: false,
            ..Self::required(name, column_type)
        }
    }
}

/// Returns the columns of an event, in the order of its fields.
pub fn columns() -> impl Iterator<Item = Column> {
    let own = [
        Column::required("id", ColumnType::Text),
        Column::required("timestamp", ColumnType::Moment),
        Column::required("type", ColumnType::Text),
    ];
    let dimensions = Dimension::ALL.iter().map(|dimension| match dimension {
        Dimension::ProjectId => Column::required(dimension.as_str(), ColumnType::Text),
        Dimension::Batch => Column::optional(dimension.as_str(), ColumnType::Boolean),
        _ => Column::optional(dimension.as_str(), ColumnType::Text),
    });
    let metrics = Metric::ALL
        .iter()
        .map(|metric| Column::optional(metric.as_str(), ColumnType::Integer));
    own.into_iter().chain(dimensions).chain(metrics)
}

/// Returns the columns of the ledger: those of an event, and further ones that an import ignores.
pub fn ledger_columns() -> impl Iterator<Item = Column> {
    columns().chain([
        Column::optional("organization_id", ColumnType::Text),
        Column::optional("recorded_at", ColumnType::Moment),
        Column::optional("estimated", ColumnType::Boolean),
        Column::optional("unpriced", ColumnType::Boolean),
        Column::optional("outcome", ColumnType::Text),
        Column::optional("amount", ColumnType::Dollars),
    ])
}

/// Returns the columns with these names.
///
/// # Errors
/// A name is unknown or there twice, or a required column is missing.
pub fn columns_named<'a>(names: impl Iterator<Item = &'a str>) -> Result<Vec<Column>, FileError> {
    let mut found: Vec<Column> = Vec::new();
    for name in names {
        let column = ledger_columns()
            .find(|column| column.name == name)
            .ok_or_else(|| {
                let all: Vec<_> = columns().map(|column| column.name).collect();
                FileError::Columns(format!(
                    "the column {name:?} is none of an event's fields: {}",
                    all.join(", ")
                ))
            })?;
        if found.contains(&column) {
            return Err(FileError::Columns(format!(
                "the column {name:?} is there twice"
            )));
        }
        found.push(column);
    }
    match columns().find(|column| column.is_required && !found.contains(column)) {
        Some(missing) => Err(FileError::Columns(format!(
            "the column {:?} is missing",
            missing.name
        ))),
        None => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};
    use usage::ReportedEvent;

    use super::*;

    #[test]
    fn every_field_of_an_event_has_its_column() {
        let mut event = Map::new();
        for column in ledger_columns() {
            let value = match column.column_type {
                ColumnType::Text => json!("x"),
                ColumnType::Integer | ColumnType::Moment | ColumnType::Dollars => json!(1),
                ColumnType::Boolean => json!(true),
            };
            event.insert(column.name.to_owned(), value);
        }
        let json = Value::Object(event.clone()).to_string();
        assert!(ReportedEvent::parse(&json).is_ok(), "no column is unknown");
        event.insert("other".to_owned(), Value::Null);
        let json = Value::Object(event).to_string();
        let refused = ReportedEvent::parse(&json)
            .err()
            .expect("it has no such field");
        let names: Vec<_> = ledger_columns()
            .map(|column| format!("`{}`", column.name))
            .collect();
        let expected = format!("expected one of {}", names.join(", "));
        assert!(refused.error.contains(&expected), "{}", refused.error);
    }

    #[test]
    fn column_names_are_checked_before_rows() {
        let error = |names: &[&str]| {
            let found = columns_named(names.iter().copied());
            found
                .err()
                .map(|error| error.to_string())
                .unwrap_or_default()
        };
        let good = ["type", "id", "timestamp", "project_id"];
        assert_eq!(error(&good), "");
        assert_eq!(error(&good[1..]), "the column \"type\" is missing");
        assert_eq!(error(&["id", "id"]), "the column \"id\" is there twice");
        assert!(error(&["ID"]).starts_with("the column \"ID\" is none of"));
    }
}
