//! Migrations, each run once, in order, under a lock.

#[cfg(test)]
mod tests;

use crate::{Connection, Database, Error, Result, Statement, Transaction, sql};

/// A step from one version of the schema to the next. Once released, its text never changes.
struct Migration {
    name: &'static str,
    target: Target,
    /// The SQL for both database systems.
    both: &'static str,
    /// The SQL for SQLite, run after `both`.
    sqlite: &'static str,
    /// The SQL for PostgreSQL, run after `both`.
    postgres: &'static str,
}

/// The database that a migration changes; on PostgreSQL both are one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    Administration,
    Usage,
}

const MIGRATIONS: &[Migration] = &[
    Migration {
        name: "0001_administration",
        target: Target::Administration,
        both: include_str!("../../../migrations/0001_administration.sql"),
        sqlite: include_str!("../../../migrations/0001_administration.sqlite.sql"),
        postgres: include_str!("../../../migrations/0001_administration.postgres.sql"),
    },
    Migration {
        name: "0002_ledger",
        target: Target::Usage,
        both: "",
        sqlite: include_str!("../../../migrations/0002_ledger.sqlite.sql"),
        postgres: include_str!("../../../migrations/0002_ledger.postgres.sql"),
    },
    Migration {
        name: "0003_people",
        target: Target::Administration,
        both: include_str!("../../../migrations/0003_people.sql"),
        sqlite: "",
        postgres: "",
    },
    Migration {
        name: "0004_roles",
        target: Target::Administration,
        both: include_str!("../../../migrations/0004_roles.sql"),
        sqlite: "",
        postgres: "",
    },
    Migration {
        name: "0005_settings",
        target: Target::Administration,
        both: include_str!("../../../migrations/0005_settings.sql"),
        sqlite: include_str!("../../../migrations/0005_settings.sqlite.sql"),
        postgres: include_str!("../../../migrations/0005_settings.postgres.sql"),
    },
    Migration {
        name: "0006_spend_alerts",
        target: Target::Administration,
        both: include_str!("../../../migrations/0006_spend_alerts.sql"),
        sqlite: "",
        postgres: "",
    },
    Migration {
        name: "0007_stored_objects",
        target: Target::Administration,
        both: include_str!("../../../migrations/0007_stored_objects.sql"),
        sqlite: "",
        postgres: "",
    },
    Migration {
        name: "0008_bodies",
        target: Target::Usage,
        both: include_str!("../../../migrations/0008_bodies.sql"),
        sqlite: "",
        postgres: include_str!("../../../migrations/0008_bodies.postgres.sql"),
    },
    Migration {
        name: "0009_ledger_sources",
        target: Target::Usage,
        both: "",
        sqlite: include_str!("../../../migrations/0009_ledger_sources.sqlite.sql"),
        postgres: include_str!("../../../migrations/0009_ledger_sources.postgres.sql"),
    },
    Migration {
        name: "0010_spend_reservations",
        target: Target::Usage,
        both: include_str!("../../../migrations/0010_spend_reservations.sql"),
        sqlite: "",
        postgres: "",
    },
    Migration {
        name: "0011_secret_check",
        target: Target::Administration,
        both: include_str!("../../../migrations/0011_secret_check.sql"),
        sqlite: "",
        postgres: "",
    },
    Migration {
        name: "0012_claims",
        target: Target::Administration,
        both: include_str!("../../../migrations/0012_claims.sql"),
        sqlite: "",
        postgres: "",
    },
    Migration {
        name: "0013_role_ids",
        target: Target::Administration,
        both: include_str!("../../../migrations/0013_role_ids.sql"),
        sqlite: "",
        postgres: "",
    },
];

/// Takes the advisory lock by which processes that start at once migrate one after the other. Its number is arbitrary
/// but must never change.
const POSTGRES_LOCK: &str = "SELECT pg_advisory_xact_lock(7017220831)";
/// Keeps PostgreSQL from sending a notice, which the driver logs, when a table exists already.
const POSTGRES_QUIET: &str = "SET LOCAL client_min_messages = warning";

/// Brings both databases up to date.
pub(crate) async fn run(administration: &Database, usage: &Database) -> Result<()> {
    for (database, target) in [
        (administration, Target::Administration),
        (usage, Target::Usage),
    ] {
        let mut transaction = database.begin().await?;
        if database.kind() == "postgres" {
            transaction.batch(POSTGRES_LOCK).await?;
            transaction.batch(POSTGRES_QUIET).await?;
        }
        let create = "CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY)";
        transaction.batch(create).await?;
        let done = names(&mut transaction).await?;
        refuse_unknown(&done)?;
        for migration in MIGRATIONS
            .iter()
            .filter(|migration| migration.target == target)
        {
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
    tracing::info!(migration = migration.name, "migration applied");
    Ok(())
}

/// Refuses a database that a newer version has migrated: this version must not write to tables that it does not know.
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

/// Returns the first migration that has not run, if there is one.
///
/// # Errors
/// A database cannot be read.
pub(crate) async fn missing(
    administration: &Database,
    usage: &Database,
) -> Result<Option<&'static str>> {
    for (database, target) in [
        (administration, Target::Administration),
        (usage, Target::Usage),
    ] {
        let mut read = database.read().await?;
        let done = names(&mut read).await?;
        let missing = MIGRATIONS
            .iter()
            .filter(|migration| migration.target == target)
            .find(|migration| !done.iter().any(|name| name == migration.name));
        if let Some(migration) = missing {
            return Ok(Some(migration.name));
        }
    }
    Ok(None)
}

/// Returns a statement that writes to the table of migrations without effect; for PostgreSQL, where a no-op update is a write.
pub(crate) fn touch() -> Statement {
    sql!(
        "UPDATE migrations SET name = name WHERE name = $1",
        MIGRATIONS[0].name
    )
}

/// Returns the names of the migrations that have run.
async fn names(connection: &mut Connection) -> Result<Vec<String>> {
    let ask = sql!("SELECT name FROM migrations");
    connection.fetch_all(ask, |row| row.get("name")).await
}
