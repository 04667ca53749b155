//! The database system that a measurement runs on.

use std::path::Path;

use anyhow::Result;
use clap::ValueEnum;

use super::process::cpu_of_family;
use crate::postgres::{self, Postgres};

/// A database system by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EngineName {
    /// A file of each server.
    Sqlite,
    /// A database of each server, in a cluster that is made for the measurements.
    Postgres,
}

/// A database system that is ready to make databases.
pub enum Engine {
    /// SQLite.
    Sqlite,
    /// PostgreSQL.
    Postgres(Postgres),
}

impl Engine {
    /// Starts the system.
    pub fn start(root: &Path, name: EngineName) -> Result<Self> {
        Ok(match name {
            EngineName::Sqlite => Self::Sqlite,
            EngineName::Postgres => {
                Self::Postgres(Postgres::start_durable(root, &postgres::programs()?)?)
            }
        })
    }

    /// Returns the cluster; `None` for SQLite.
    pub fn postgres(&self) -> Option<&Postgres> {
        match self {
            Self::Sqlite => None,
            Self::Postgres(postgres) => Some(postgres),
        }
    }

    /// True if servers write to files of SQLite.
    pub fn is_sqlite(&self) -> bool {
        self.postgres().is_none()
    }

    /// Returns the name with what makes commits durable.
    pub fn describe(&self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite with `synchronous=NORMAL`",
            Self::Postgres(_) => "PostgreSQL with `fsync` and `synchronous_commit`",
        }
    }

    /// Returns the CPU time of the system's own processes in microseconds; 0 for SQLite, which has none.
    pub fn cpu(&self) -> Result<u64> {
        match self {
            Self::Sqlite => Ok(0),
            Self::Postgres(postgres) => cpu_of_family(postgres.process()?),
        }
    }
}
