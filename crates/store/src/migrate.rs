//! Runs migrations in order, once, under a lock.

#[cfg(test)]
mod tests;

use crate::{Connection, Database, Error, Result, Store, Transaction, sql};

/// A step from one state of the tables to the next. Once released, its text never changes.
struct Migration {
    name: &'static str,
    part: Part,
    /// For both databases.
    both: &'static str,
    /// For one of them, after `both`.
    sqlite: &'static str,
    postgres: &'static str,
}

/// Which database a migration is for; on PostgreSQL they are one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Administration,
    Usage,
}

const MIGRATIONS: &[Migration] = &[
    Migration {
        name: "0001_administration",
        part: Part::Administration,
        both: include_str!("../../../migrations/0001_administration.sql"),
        sqlite: include_str!("../../../migrations/0001_administration.sqlite.sql"),
        postgres: include_str!("../../../migrations/0001_administration.postgres.sql"),
    },
    Migration {
        name: "0002_ledger",
        part: Part::Usage,
        both: "",
        sqlite: include_str!("../../../migrations/0002_ledger.sqlite.sql"),
        postgres: include_str!("../../../migrations/0002_ledger.postgres.sql"),
    },
    Migration {
        name: "0003_people",
        part: Part::Administration,
        both: include_str!("../../../migrations/0003_people.sql"),
        sqlite: "",
        postgres: "",
    },
    Migration {
        name: "0004_roles",
        part: Part::Administration,
        both: include_str!("../../../migrations/0004_roles.sql"),
        sqlite: "",
        postgres: "",
    },
    Migration {
        name: "0005_settings",
        part: Part::Administration,
        both: include_str!("../../../migrations/0005_settings.sql"),
        sqlite: include_str!("../../../migrations/0005_settings.sqlite.sql"),
        postgres: include_str!("../../../migrations/0005_settings.postgres.sql"),
    },
    Migration {
        name: "0006_spend_alerts",
        part: Part::Administration,
        both: include_str!("../../../migrations/0006_spend_alerts.sql"),
        sqlite: "",
        postgres: "",
    },
    Migration {
        name: "0007_stored_objects",
        part: Part::Administration,
        both: include_str!("../../../migrations/0007_stored_objects.sql"),
        sqlite: "",
        postgres: "",
    },
    Migration {
        name: "0008_bodies",
        part: Part::Usage,
        both: include_str!("../../../migrations/0008_bodies.sql"),
        sqlite: "",
        postgres: include_str!("../../../migrations/0008_bodies.postgres.sql"),
    },
    Migration {
        name: "0009_ledger_sources",
        part: Part::Usage,
        both: "",
        sqlite: include_str!("../../../migrations/0009_ledger_sources.sqlite.sql"),
        postgres: include_str!("../../../migrations/0009_ledger_sources.postgres.sql"),
    },
    Migration {
        name: "0010_spend_reservations",
        part: Part::Usage,
        both: include_str!("../../../migrations/0010_spend_reservations.sql"),
        sqlite: "",
        postgres: "",
    },
    Migration {
        name: "0011_secret_check",
        part: Part::Administration,
        both: include_str!("../../../migrations/0011_secret_check.sql"),
        sqlite: "",
        postgres: "",
    },
    Migration {
        name: "0012_claims",
        part: Part::Administration,
        both: include_str!("../../../migrations/0012_claims.sql"),
        sqlite: "",
        postgres: "",
    },
    Migration {
        name: "0013_role_ids",
        part: Part::Administration,
        both: include_str!("../../../migrations/0013_role_ids.sql"),
        sqlite: "",
        postgres: "",
    },
];

/// The lock that two processes starting at once share; any number will do, as long as it stays the same.
const POSTGRES_LOCK: &str = "SELECT pg_advisory_xact_lock(7017220831)";

/// Brings both databases up to date.
pub(crate) async fn run(administration: &Database, usage: &Database) -> Result<()> {
    for (database, part) in [(administration, Part::Administration), (usage, Part::Usage)] {
        let mut transaction = database.begin().await?;
        if database.kind() == "postgres" {
            transaction.batch(POSTGRES_LOCK).await?;
        }
        let create = "CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY)";
        transaction.batch(create).await?;
        let done = names(&mut transaction).await?;
        refuse_unknown(&done)?;
        for migration in MIGRATIONS.iter().filter(|migration| migration.part == part) {
            if !done.iter().any(|name| name == migration.name) {
                apply(&mut transaction, database.kind(), migration).await?;
            }
        }
        transaction.commit().await?;
    }
    Ok(())
}

async fn apply(transaction: &mut Transaction, kind: &str, migration: &Migration) -> Result<()> {
    let own = if kind == "sqlite" {
        migration.sqlite
    } else {
        migration.postgres
    };
    for text in [migration.both, own] {
        let failed = |error: Error| Error::Migration(migration.name.to_owned(), error.to_string());
        transaction.batch(text).await.map_err(failed)?;
    }
    transaction
        .execute(sql!(
            "INSERT INTO migrations (name) VALUES ($1)",
            migration.name
        ))
        .await?;
    tracing::info!(migration = migration.name, "migrated");
    Ok(())
}

/// An older program must not write to tables that a newer one has changed.
fn refuse_unknown(done: &[String]) -> Result<()> {
    match done.iter().find(|name| {
        !MIGRATIONS
            .iter()
            .any(|migration| migration.name == name.as_str())
    }) {
        Some(name) => Err(Error::Migration(
            name.clone(),
            "is not known to this version; use the one that made this database, or a newer one"
                .to_owned(),
        )),
        None => Ok(()),
    }
}

impl Store {
    /// The first migration that has not run, if one has not; for readiness.
    ///
    /// # Errors
    /// A database cannot be read.
    pub async fn missing_migration(&self) -> Result<Option<&'static str>> {
        for (database, part) in [
            (&self.administration, Part::Administration),
            (&self.usage, Part::Usage),
        ] {
            let mut read = database.read().await?;
            let done = names(&mut read).await?;
            let missing = MIGRATIONS
                .iter()
                .filter(|migration| migration.part == part)
                .find(|migration| !done.iter().any(|name| name == migration.name));
            if let Some(migration) = missing {
                return Ok(Some(migration.name));
            }
        }
        Ok(None)
    }

    /// Commits a change that changes nothing to each database, to see that it can be written.
    ///
    /// # Errors
    /// The database cannot be read or written to.
    pub async fn probe(&self) -> Result<()> {
        for database in [&self.administration, &self.usage] {
            let mut transaction = database.begin().await?;
            if database.is_local() {
                // A number that nobody reads. An update of a row to what it is writes nothing.
                transaction.batch("PRAGMA user_version = 1").await?;
                transaction.commit().await?;
                continue;
            }
            let touch = sql!(
                "UPDATE migrations SET name = name WHERE name = $1",
                MIGRATIONS[0].name
            );
            transaction.execute(touch).await?;
            return transaction.commit().await;
        }
        Ok(())
    }
}

/// The migrations that have run.
async fn names(connection: &mut Connection) -> Result<Vec<String>> {
    let ask = sql!("SELECT name FROM migrations");
    connection.fetch_all(ask, |row| row.get("name")).await
}
