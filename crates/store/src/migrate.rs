//! Runs migrations in order, once, under a lock.

use crate::{Database, Error, Read, Result, Transaction, sql};

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
        let done = transaction
            .fetch_all(sql!("SELECT name FROM migrations"), |row| {
                row.get::<String>("name")
            })
            .await?;
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

impl Read {
    /// Whether every migration has run; for readiness.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn is_migrated(&mut self) -> Result<bool> {
        let rows = self
            .fetch_all(sql!("SELECT name FROM migrations"), |row| {
                row.get::<String>("name")
            })
            .await?;
        Ok(rows.iter().any(|name| name == MIGRATIONS[0].name))
    }
}
