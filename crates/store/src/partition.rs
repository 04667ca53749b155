//! Tables partitioned by day: each partition is created with the day's first row and dropped when its retention ends.

use base::UnixTime;

use crate::backend::Database;
use crate::{Result, Statement, Transaction};

/// A table partitioned by day (UTC). The caller keeps track of the days that have a partition.
#[derive(Clone, Copy, Debug)]
pub struct Partitioned {
    name: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
}

/// The partitions of the ledger.
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
    /// Appends the name of the partition for the day of `time`.
    pub fn push_partition(&mut self, table: Partitioned, time: UnixTime) -> &mut Self {
        self.push(table.name);
        self.text.to_mut().push_str(&time.date_digits());
        self
    }
}

impl Transaction {
    /// Creates the partition of a day, which must not exist.
    ///
    /// # Errors
    /// The database's.
    pub async fn create_partition(
        &mut self,
        database: &Database,
        table: Partitioned,
        day: UnixTime,
    ) -> Result<()> {
        self.batch(&table.create(database.kind(), day)).await
    }

    /// Drops the partition of a day with its rows.
    ///
    /// # Errors
    /// The database's.
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
    fn partition_is_named_after_its_day() {
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
