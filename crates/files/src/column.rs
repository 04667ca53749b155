//! The columns of a table of events: their names, which are those of an event's fields, and what stands in them.

use usage::{Dimension, Metric};

use crate::FileError;

/// What stands in a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Text.
    Text,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// A moment: seconds since 1970 as a whole number, or as tables have it.
    Moment,
    /// An amount of money in US dollars, to the billionth.
    Dollars,
}

/// A column of a table of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What stands in it.
    pub shape: Shape,
    /// Whether no event is without it.
    pub is_required: bool,
}

/// Every column, in the order of an event's fields.
pub fn columns() -> impl Iterator<Item = Column> {
    let column = |name, shape, is_required| Column {
        name,
        shape,
        is_required,
    };
    let own = [
        column("id", Shape::Text, true),
        column("timestamp", Shape::Moment, true),
        column("type", Shape::Text, true),
    ];
    let dimensions = Dimension::ALL.iter().map(move |dimension| {
        let shape = match dimension {
            Dimension::Batch => Shape::Boolean,
            _ => Shape::Text,
        };
        column(
            dimension.as_str(),
            shape,
            *dimension == Dimension::ProjectId,
        )
    });
    let metrics = Metric::ALL
        .iter()
        .map(move |metric| column(metric.as_str(), Shape::Integer, false));
    own.into_iter().chain(dimensions).chain(metrics)
}

/// Every column of the ledger: an event's, and what the ledger says of it. To import an event that is of no use.
pub fn of_ledger() -> impl Iterator<Item = Column> {
    let column = |name, shape, is_required| Column {
        name,
        shape,
        is_required,
    };
    columns().chain([
        column("organization_id", Shape::Text, false),
        column("recorded_at", Shape::Moment, false),
        column("estimated", Shape::Boolean, false),
        column("unpriced", Shape::Boolean, false),
        column("outcome", Shape::Text, false),
        column("amount", Shape::Dollars, false),
    ])
}

/// The columns that have these names.
///
/// # Errors
/// One has another name, two have the same, or one that no event is without is missing.
pub fn named<'a>(names: impl Iterator<Item = &'a str>) -> Result<Vec<Column>, FileError> {
    let mut found: Vec<Column> = Vec::new();
    for name in names {
        let column = of_ledger()
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
        for column in of_ledger() {
            let value = match column.shape {
                Shape::Text => json!("x"),
                Shape::Integer | Shape::Moment | Shape::Dollars => json!(1),
                Shape::Boolean => json!(true),
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
        let names: Vec<_> = of_ledger()
            .map(|column| format!("`{}`", column.name))
            .collect();
        let expected = format!("expected one of {}", names.join(", "));
        assert!(refused.error.contains(&expected), "{}", refused.error);
    }

    #[test]
    fn names_are_looked_at_before_rows() {
        let error = |names: &[&str]| {
            let found = named(names.iter().copied());
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
