//! The check of the pool's size against the number of connections that PostgreSQL accepts.

use super::Postgres;
use crate::{Error, Read, Result, Row, sql};

/// Selects the limits on this user's connections, and the number of connections that other clients have now. Connections
/// reserved for superusers and for maintenance do not count.
const LIMITS: &str = "\
    SELECT CAST(current_setting('max_connections') AS BIGINT) AS most, \
           CAST(current_setting('superuser_reserved_connections') AS BIGINT) \
             + CAST(COALESCE(current_setting('reserved_connections', TRUE), '0') AS BIGINT) AS reserved, \
           (SELECT CAST(rolconnlimit AS BIGINT) FROM pg_roles WHERE rolname = current_user) AS of_user, \
           (SELECT CAST(datconnlimit AS BIGINT) FROM pg_database WHERE datname = current_database()) AS of_database, \
           (SELECT COUNT(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()) \
             AS taken";

struct ConnectionLimit {
    /// The number of connections that the server accepts from this user.
    most: i64,
    /// The number of connections of other clients.
    taken: i64,
}

impl ConnectionLimit {
    fn read(row: &Row<'_>) -> Result<Self> {
        let (most, reserved): (i64, i64) = (row.get("most")?, row.get("reserved")?);
        let limits: [i64; 2] = [row.get("of_user")?, row.get("of_database")?];
        // A negative limit means unlimited.
        let limits = limits.into_iter().filter(|limit| *limit >= 0);
        Ok(Self {
            most: limits.fold(most - reserved, i64::min),
            taken: row.get("taken")?,
        })
    }
}

impl Postgres {
    /// Fails if the pool is larger than the server accepts, and logs a warning if the connections of other clients leave
    /// less.
    pub(crate) async fn check_connections(&self, mut read: Read) -> Result<()> {
        let limit = read.fetch_one(sql!(LIMITS), ConnectionLimit::read).await?;
        let wanted = i64::try_from(self.connections).unwrap_or(i64::MAX);
        if wanted > limit.most {
            return Err(Error::TooManyConnections {
                wanted,
                most: limit.most,
            });
        }
        if wanted.saturating_add(limit.taken) > limit.most {
            tracing::warn!(
                database_connections = wanted,
                taken = limit.taken,
                most = limit.most,
                "PostgreSQL may run out of connections: raise its max_connections, or lower database_connections"
            );
        }
        Ok(())
    }
}
