//! Tables of which there is one for each day: made when the day's first row comes, dropped when nobody needs it.

use base::UnixTime;

use crate::backend::Database;
use crate::{Result, Statement, Transaction};

/// A table that is divided by day (UTC). The days that have one are the caller's to know.
#[derive(Clone, Copy, Debug)]
pub struct Partitioned {
    name: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
}

/// The ledger.
pub const USAGE_EVENTS: Partitioned = Partitioned {
    name: "usage_events_",
    sqlite: include_str!("../../../migrations/usage_events.sqlite.sql"),
    postgres: include_str!("../../../migrations/usage_events.postgres.sql"),
};

impl Partitioned {
    fn create(&self, kind: &str, day: UnixTime) -> String {
        let text = if kind == "sqlite" {
            self.sqlite
        } else {
            self.postgres
        };
        text.replace("DAY", &day.date_digits())
    }
}

impl Statement {
    /// Adds the name of the table of the day that `time` lies in.
    pub fn push_partition(&mut self, table: Partitioned, time: UnixTime) -> &mut Self {
        self.push(table.name);
        self.text.to_mut().push_str(&time.date_digits());
        self
    }
}

impl Transaction {
    /// Makes the table of a day, which must not be there.
    ///
    /// # Errors
    /// What the database said.
    pub async fn create_partition(
        &mut self,
        database: &Database,
        table: Partitioned,
        day: UnixTime,
    ) -> Result<()> {
        self.batch(&table.create(database.kind(), day)).await
    }

    /// Drops the table of a day, with all that is in it.
    ///
    /// # Errors
    /// What the database said.
    pub async fn drop_partition(&mut self, table: Partitioned, day: UnixTime) -> Result<()> {
        self.batch(&format!("DROP TABLE {}{}", table.name, day.date_digits()))
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql;

    #[test]
    fn a_partition_has_the_date_of_its_day() {
        let day = UnixTime(1_772_409_600 + 5);
        let mut select = sql!("SELECT 1 FROM ");
        select.push_partition(USAGE_EVENTS, day);
        assert_eq!(select.text(), "SELECT 1 FROM usage_events_20260302");
        for kind in ["sqlite", "postgres"] {
            let text = USAGE_EVENTS.create(kind, day);
            assert!(
                text.contains("CREATE TABLE usage_events_20260302 ("),
                "{text}"
            );
            assert!(!text.contains("_DAY"), "{text}");
        }
    }
}
