//! The connections that PostgreSQL has room for.

use super::Postgres;
use crate::{Error, Read, Result, Row, sql};

/// The connections that this user may have at the most, and those that others have now. What is reserved for superusers and
/// for maintenance is not ours.
const ROOM: &str = "\
    SELECT CAST(current_setting('max_connections') AS BIGINT) AS most, \
           CAST(current_setting('superuser_reserved_connections') AS BIGINT) \
             + CAST(COALESCE(current_setting('reserved_connections', TRUE), '0') AS BIGINT) AS reserved, \
           (SELECT CAST(rolconnlimit AS BIGINT) FROM pg_roles WHERE rolname = current_user) AS of_user, \
           (SELECT CAST(datconnlimit AS BIGINT) FROM pg_database WHERE datname = current_database()) AS of_database, \
           (SELECT COUNT(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()) \
             AS taken";

struct Room {
    /// The most connections that this process could have if nobody else had any.
    most: i64,
    /// The connections of others.
    taken: i64,
}

impl Room {
    fn read(row: &Row<'_>) -> Result<Self> {
        let (most, reserved): (i64, i64) = (row.get("most")?, row.get("reserved")?);
        let limits: [i64; 2] = [row.get("of_user")?, row.get("of_database")?];
        // A negative limit is none.
        let limits = limits.into_iter().filter(|limit| *limit >= 0);
        Ok(Self {
            most: limits.fold(most - reserved, i64::min),
            taken: row.get("taken")?,
        })
    }
}

impl Postgres {
    /// Refuses to keep more connections than the server takes, and warns where those of others leave less.
    pub(crate) async fn check_connections(&self, mut read: Read) -> Result<()> {
        let room = read.fetch_one(sql!(ROOM), Room::read).await?;
        let wanted = i64::try_from(self.connections).unwrap_or(i64::MAX);
        if wanted > room.most {
            return Err(Error::TooManyConnections {
                wanted,
                most: room.most,
            });
        }
        if wanted.saturating_add(room.taken) > room.most {
            tracing::warn!(
                database_connections = wanted,
                taken = room.taken,
                most = room.most,
                "PostgreSQL may run out of connections: raise its max_connections, or lower database_connections"
            );
        }
        Ok(())
    }
}
