//! The declaration of a setting.

use base::{EventSubject, EventType};
use store::{Result, Row, Value};

use crate::ScopeSettings;

/// A setting that the gateway enforces, as one row of its table declares it for an organization or a project.
pub trait Setting: Sized + Send + 'static {
    /// SQL that selects `project_id` and the setting's columns for the organization `$1`; the table is called `s`.
    /// `project_id` is empty where the row holds for the organization itself.
    const SELECT_ALL: &'static str;
    /// SQL that deletes the rows of the organization `$1` and the project `$2`.
    const DELETE: &'static str;
    /// Types of the events that change the setting. The directory reloads settings after each of them.
    const EVENTS: &'static [EventType];

    /// Decodes a row.
    ///
    /// # Errors
    /// A column is missing, or of an unexpected type or value.
    fn read(row: &Row<'_>) -> Result<Self>;

    /// Puts the setting in force for the organization or project that it is declared for.
    fn enforce(self, scope: &mut ScopeSettings);
}

/// A [`Setting`] that is at most one row for each organization or project.
pub trait RowSetting: Sized + Send + Sync + 'static {
    /// SQL of the table.
    const SQL: RowSql;
    /// Type of the event that sets the setting.
    const UPDATED: EventType;
    /// Types of all events that change the setting.
    const EVENTS: &'static [EventType] = &[Self::UPDATED];

    /// Decodes a row, as [`Setting::read`] does.
    ///
    /// # Errors
    /// Those of [`Setting::read`].
    fn read(row: &Row<'_>) -> Result<Self>;

    /// Returns the values of the columns, in their order in [`Self::SQL`].
    fn values(&self) -> Vec<Value>;

    /// Puts the setting in force, as [`Setting::enforce`] does.
    fn enforce(self, scope: &mut ScopeSettings);
}

/// A [`RowSetting`] that can be deleted. Its [`RowSetting::EVENTS`] have [`Self::DELETED`] too.
pub trait DeletableSetting: RowSetting {
    /// The setting in the sentence that refuses to show or to delete what is not set.
    const NOUN: &'static str;
    /// Type of the event that deletes the setting.
    const DELETED: EventType;
}

impl<S: RowSetting> Setting for S {
    const SELECT_ALL: &'static str = S::SQL.select_all;
    const DELETE: &'static str = S::SQL.delete;
    const EVENTS: &'static [EventType] = S::EVENTS;

    fn read(row: &Row<'_>) -> Result<Self> {
        S::read(row)
    }

    fn enforce(self, scope: &mut ScopeSettings) {
        S::enforce(self, scope);
    }
}

/// SQL of the table of a setting.
#[derive(Clone, Copy, Debug)]
pub struct RowSql {
    /// SQL as in [`Setting::SELECT_ALL`].
    pub select_all: &'static str,
    /// SQL that selects the columns of the rows of the organization `$1` and the project `$2`.
    pub select_one: &'static str,
    /// SQL that inserts or replaces a row of the organization `$1` and the project `$2`; the columns' values follow.
    pub upsert: &'static str,
    /// SQL as in [`Setting::DELETE`].
    pub delete: &'static str,
}

/// Returns the [`RowSql`] of a table and its columns, each with the parameter that its value has. A column in brackets is part
/// of the table's key: a project has a row for each of its values.
macro_rules! row_sql {
    (
        $table:literal $([$key:literal = $key_parameter:literal])?
        { $first:literal = $first_parameter:literal $(, $column:literal = $parameter:literal)* }
    ) => {
        $crate::setting::RowSql {
            select_all: concat!(
                "SELECT s.project_id, ", $("s.", $key, ", ",)? "s.", $first, $(", s.", $column,)*
                " FROM ", $table, " s WHERE s.organization_id = $1"
            ),
            select_one: concat!(
                "SELECT ", $($key, ", ",)? $first, $(", ", $column,)*
                " FROM ", $table, " WHERE organization_id = $1 AND project_id = $2"
            ),
            upsert: concat!(
                "INSERT INTO ", $table, " (organization_id, project_id, ", $($key, ", ",)? $first, $(", ", $column,)*
                ") VALUES ($1, $2, ", $($key_parameter, ", ",)? $first_parameter, $(", ", $parameter,)*
                ") ON CONFLICT (organization_id, project_id", $(", ", $key,)? ") DO UPDATE SET ",
                $first, " = excluded.", $first, $(", ", $column, " = excluded.", $column),*
            ),
            delete: concat!("DELETE FROM ", $table, " WHERE organization_id = $1 AND project_id = $2"),
        }
    };
}

pub(crate) use row_sql;

/// A change of the settings in force that one row makes.
pub type Patch = Box<dyn FnOnce(&mut ScopeSettings) + Send>;

/// A [`Setting`] with its type erased, for those who treat all settings alike.
#[derive(Clone, Copy, Debug)]
pub struct Descriptor {
    /// SQL as in [`Setting::SELECT_ALL`].
    pub select_all: &'static str,
    /// SQL as in [`Setting::DELETE`].
    pub delete: &'static str,
    /// Decodes a row into the project that it is declared for, empty for the organization, and the patch.
    pub read: fn(&Row<'_>) -> Result<(String, Patch)>,
    /// Types of the events that change the setting.
    pub events: &'static [EventType],
}

impl Descriptor {
    /// Returns the descriptor of `S`. An event whose [`EventSubject`] is not a setting is an error at compile time: the
    /// directory would not reload the setting after it.
    #[must_use]
    pub const fn of<S: Setting>() -> Self {
        let mut index = 0;
        while index < S::EVENTS.len() {
            assert!(
                matches!(S::EVENTS[index].subject(), EventSubject::Setting),
                "the subject of a setting's event must be Setting"
            );
            index += 1;
        }
        Self {
            select_all: S::SELECT_ALL,
            delete: S::DELETE,
            read: read::<S>,
            events: S::EVENTS,
        }
    }
}

fn read<S: Setting>(row: &Row<'_>) -> Result<(String, Patch)> {
    let setting = S::read(row)?;
    let patch = Box::new(move |scope: &mut ScopeSettings| setting.enforce(scope));
    Ok((row.get("project_id")?, patch))
}

#[cfg(test)]
mod tests {
    use crate::ENFORCED;

    use super::*;

    #[test]
    fn every_event_about_a_setting_belongs_to_exactly_one_descriptor() {
        for event in EventType::ALL {
            let descriptors = ENFORCED.iter();
            let count = descriptors.filter(|setting| setting.events.contains(event));
            let expected = usize::from(event.subject() == EventSubject::Setting);
            assert_eq!(count.count(), expected, "{event:?}");
        }
    }
}
