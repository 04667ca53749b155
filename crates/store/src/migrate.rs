//! Migrations, each run once, in order, under a lock.
//!
//! An expansion adds what older programs do not notice, and names the last migration that such a program must know. A program
//! starts on tables with unknown expansions, and on those with any other unknown migration it does not.

#[cfg(test)]
mod tests;

use crate::{Connection, Database, Error, Result, Statement, Transaction, sql};

/// A step from one version of the schema to the next. Once released, its text never changes.
struct Migration {
    name: &'static str,
    target: Target,
    /// The last migration that a program must know to run on the tables; `None` if it must know this one.
    oldest: Option<&'static str>,
    /// The SQL of its files, in the order in which it runs.
    texts: &'static [(System, &'static str)],
}

/// The database systems that an SQL text is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum System {
    Both,
    Sqlite,
    Postgres,
}

/// The database that a migration changes; on PostgreSQL both are one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    Administration,
    Usage,
}

/// Returns the migrations with their files: `NNNN_name.sql` for both systems, then `NNNN_name.SYSTEM.sql`. An expansion names
/// the last migration that a program must know: `expands "NNNN_name"`.
macro_rules! migrations {
    (@oldest) => { None };
    (@oldest $oldest:literal) => { Some($oldest) };
    ($($name:literal: $target:ident $(expands $oldest:literal)?, $($file:literal for $system:ident),+;)*) => {
        &[$(Migration {
            name: $name,
            target: Target::$target,
            oldest: migrations!(@oldest $($oldest)?),
            texts: &[$((
                System::$system,
                include_str!(concat!("../../../migrations/", $name, $file)),
            )),+],
        }),*]
    };
}

const MIGRATIONS: &[Migration] = migrations! {
    "0001_administration": Administration,
        ".sql" for Both, ".sqlite.sql" for Sqlite, ".postgres.sql" for Postgres;
    "0002_ledger": Usage, ".sqlite.sql" for Sqlite, ".postgres.sql" for Postgres;
    "0003_people": Administration, ".sql" for Both;
    "0004_roles": Administration, ".sql" for Both;
    "0005_settings": Administration,
        ".sql" for Both, ".sqlite.sql" for Sqlite, ".postgres.sql" for Postgres;
    "0006_spend_alerts": Administration, ".sql" for Both;
    "0007_stored_objects": Administration, ".sql" for Both;
    "0008_bodies": Usage, ".sql" for Both, ".postgres.sql" for Postgres;
    "0009_ledger_sources": Usage, ".sqlite.sql" for Sqlite, ".postgres.sql" for Postgres;
    "0010_spend_reservations": Usage, ".sql" for Both;
    "0011_secret_check": Administration, ".sql" for Both;
    "0012_claims": Administration, ".sql" for Both;
    "0013_role_ids": Administration, ".sql" for Both;
    "0014_service_tiers": Administration, ".sql" for Both;
    "0015_api_source": Usage, ".sqlite.sql" for Sqlite, ".postgres.sql" for Postgres;
    "0016_stored_state": Administration, ".sql" for Both;
    "0018_uploads": Administration, ".sql" for Both;
    "0020_object_upstreams": Administration, ".sqlite.sql" for Sqlite, ".postgres.sql" for Postgres;
    "0022_sign_in": Administration, ".sql" for Both;
    "0026_refusals": Usage, ".sql" for Both;
    "0027_nodes": Administration expands "0026_refusals", ".postgres.sql" for Postgres;
    "0028_spend_slices": Usage, ".sql" for Both;
    "0029_limit_windows": Usage expands "0028_spend_slices", ".sql" for Both;
};

/// Takes the advisory lock by which processes that start at once migrate one after the other. Its number is arbitrary
/// but must never change.
const POSTGRES_LOCK: &str = "SELECT pg_advisory_xact_lock(7017220831)";
/// Keeps PostgreSQL from sending a notice, which the driver logs, when a table exists already.
const POSTGRES_QUIET: &str = "SET LOCAL client_min_messages = warning";

/// Selects a row if the table of migrations names the oldest programs.
const SQLITE_COLUMN: &str =
    "SELECT name FROM pragma_table_info('migrations') WHERE name = 'oldest'";
const POSTGRES_COLUMN: &str = "\
    SELECT CAST(column_name AS TEXT) AS name FROM information_schema.columns \
    WHERE table_schema = current_schema() AND table_name = 'migrations' AND column_name = 'oldest'";

/// Brings both databases up to date.
pub(crate) async fn run(administration: &Database, usage: &Database) -> Result<()> {
    run_all(MIGRATIONS, administration, usage).await
}

async fn run_all(
    migrations: &[Migration],
    administration: &Database,
    usage: &Database,
) -> Result<()> {
    for (database, target) in [
        (administration, Target::Administration),
        (usage, Target::Usage),
    ] {
        let mut transaction = database.begin().await?;
        if database.kind() == "postgres" {
            transaction.batch(POSTGRES_LOCK).await?;
            transaction.batch(POSTGRES_QUIET).await?;
        }
        create_table(&mut transaction, database.kind()).await?;
        refuse_unknown(migrations, &mut transaction).await?;
        let done = names(&mut transaction).await?;
        for migration in migrations
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

/// Creates the table of migrations, or adds the column that earlier versions did not have.
async fn create_table(transaction: &mut Transaction, kind: &str) -> Result<()> {
    let create = "CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY)";
    transaction.batch(create).await?;
    let column = match kind {
        "sqlite" => SQLITE_COLUMN,
        _ => POSTGRES_COLUMN,
    };
    let found: Option<String> = transaction
        .fetch_optional(sql!(column), |row| row.get("name"))
        .await?;
    if found.is_none() {
        let add = "ALTER TABLE migrations ADD COLUMN oldest TEXT";
        transaction.batch(add).await?;
    }
    Ok(())
}

async fn apply(transaction: &mut Transaction, kind: &str, migration: &Migration) -> Result<()> {
    let own = match kind {
        "sqlite" => System::Sqlite,
        _ => System::Postgres,
    };
    for (_, text) in migration
        .texts
        .iter()
        .filter(|(of, _)| [System::Both, own].contains(of))
    {
        let failed = |error: Error| Error::Migration(migration.name.to_owned(), error.to_string());
        transaction.batch(text).await.map_err(failed)?;
    }
    transaction
        .execute(sql!(
            "INSERT INTO migrations (name, oldest) VALUES ($1, $2)",
            migration.name,
            migration.oldest
        ))
        .await?;
    tracing::info!(migration = migration.name, "migration applied");
    Ok(())
}

/// Refuses a database that a newer version has migrated, unless by expansions that leave room for this version: it must not
/// write to tables that it does not know.
async fn refuse_unknown(migrations: &[Migration], connection: &mut Connection) -> Result<()> {
    let ask = sql!("SELECT name, oldest FROM migrations ORDER BY name");
    let done: Vec<(String, Option<String>)> = connection
        .fetch_all(ask, |row| Ok((row.get("name")?, row.get("oldest")?)))
        .await?;
    let is_known = |name: &str| migrations.iter().any(|migration| migration.name == name);
    for (name, oldest) in done {
        if is_known(&name) {
            continue;
        }
        if !oldest.is_some_and(|oldest| is_known(&oldest)) {
            let needed =
                "is not known to this version; use the one that made this database, or a newer one";
            return Err(Error::Migration(name, needed.to_owned()));
        }
        tracing::info!(migration = name, "database has tables of a newer version");
    }
    Ok(())
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

/// Returns a name for the tables that the migrations make, which another text of a migration changes; for tests.
#[cfg(feature = "testing")]
pub(crate) fn fingerprint() -> String {
    let mut hash = ring::digest::Context::new(&ring::digest::SHA256);
    for migration in MIGRATIONS {
        hash.update(migration.name.as_bytes());
        for (_, text) in migration.texts {
            hash.update(text.as_bytes());
        }
    }
    let hash = hash.finish();
    hash.as_ref()[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
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
