//! Access to the databases: the only crate that knows that there are two of them.
//!
//! One SQL text serves SQLite and PostgreSQL: `$n` parameters, `BIGINT`, `TEXT`, `BOOLEAN` and `BYTEA` columns,
//! `ON CONFLICT` and `RETURNING`. Differences are confined to migrations, which may be a pair of files.

mod backend;
pub mod cooperative;
mod error;
mod migrate;
mod outage;
mod page;
mod partition;
mod pool_size;
mod postgres;
mod revision;
mod secret_check;
mod sqlite;
mod statement;
mod store;
#[cfg(feature = "testing")]
pub mod testing;
mod timeouts;
mod value;

pub use backend::{Connection, Database, Read, Transaction};
pub use error::{Error, Result};
pub use outage::Outage;
pub use page::{Order, Page, PageRequest, SortKey, unknown_cursor};
pub use partition::{Partitioned, USAGE_EVENTS};
pub use pool_size::{DEFAULT_CONNECTIONS, MIN_CONNECTIONS};
pub use postgres::Channel;
pub use revision::{Follower, Revision};
pub use statement::{Statement, names_columns};
pub use store::{Store, VERBOSE_TARGETS};
pub use value::{Column, Row, Value};
