//! The data that upstreams and this deployment store for a project, by place and kind. Part of the answer about data retention.

use base::time::SECONDS_PER_DAY;
use base::{Result, UnixTime};
use schemars::JsonSchema;
use serde::Serialize;
use store::Row;

use crate::operation::Read;
use crate::projects::ConfiguredProject;
use crate::{args, tenant_sql};

/// The most objects, and the most bodies, that are counted for one answer. The limits in [`OBJECTS`] and [`BODIES`] are one more.
const MAX_COUNTED: i64 = 100_000;
/// The kind of the bodies that this deployment stores.
const BODY: &str = "body";

/// Objects of a project by upstream and kind. A created container that has ended is nowhere any more; one that was
/// made for a response is not polled, so that its end is not known. An upload expires when it is due.
const OBJECTS: &str = "\
    SELECT upstream, kind, COUNT(*) AS count, MIN(created_at) AS oldest, MIN(ends_at) AS next_end FROM \
    (SELECT upstream, kind, created_at, \
    CASE WHEN kind IN ('upload', 'upload_part') THEN due_at ELSE expires_at END AS ends_at \
    FROM stored_objects WHERE organization_id = $1 AND project_id = $2 AND (expires_at IS NULL OR expires_at > $3) \
    AND (kind <> 'container' OR due_at IS NOT NULL OR expires_at IS NOT NULL) LIMIT 100001) counted \
    GROUP BY upstream, kind ORDER BY upstream, kind";

const BODIES: &str = "\
    SELECT COUNT(*) AS count, MIN(created_at) AS oldest FROM \
    (SELECT created_at FROM bodies WHERE organization_id = $1 AND project_id = $2 LIMIT 100001) counted";

/// Data of one kind that is stored in one place.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(inline)]
pub(crate) struct StoredKind {
    /// Name of the upstream; null for the database of this deployment.
    upstream: Option<String>,
    /// Kind of the objects, such as `file` or `response`; `body` for bodies of requests and responses.
    kind: String,
    /// Number of objects.
    count: i64,
    /// Time of creation of the oldest object.
    oldest_created_at: UnixTime,
    /// Time at which the first object expires by itself; null if none does.
    next_expires_at: Option<UnixTime>,
}

/// The data that is stored for a project.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(inline)]
pub(crate) struct StoredData {
    /// The data by place and kind.
    data: Vec<StoredKind>,
    /// True if there is more than is counted here: only 100,000 objects and 100,000 bodies are.
    has_more: bool,
}

impl StoredData {
    /// Reads the data that is stored for a project.
    pub(crate) async fn of(cx: &mut Read, project: &ConfiguredProject) -> Result<Self> {
        let objects = tenant_sql!(cx, OBJECTS, args![&project.id, cx.now()]);
        let bodies = tenant_sql!(cx, BODIES, args![&project.id]);
        let mut data = cx.fetch_all(objects, StoredKind::read).await?;
        let objects: i64 = data.iter().map(|stored| stored.count).sum();
        let bodies = cx
            .fetch_optional_usage(bodies, read_bodies)
            .await?
            .flatten();
        let count = bodies.map_or(0, |(count, _)| count);
        let lifetime = i64::from(cx.keep_bodies_days()) * SECONDS_PER_DAY;
        data.extend(bodies.map(|(count, oldest)| StoredKind {
            upstream: None,
            kind: BODY.to_owned(),
            count,
            oldest_created_at: oldest,
            next_expires_at: Some(oldest.plus(lifetime)),
        }));
        Ok(Self {
            data,
            has_more: objects.max(count) > MAX_COUNTED,
        })
    }
}

impl StoredKind {
    fn read(row: &Row<'_>) -> store::Result<Self> {
        let oldest: i64 = row.get("oldest")?;
        Ok(Self {
            upstream: Some(row.get("upstream")?),
            kind: row.get("kind")?,
            count: row.get("count")?,
            oldest_created_at: UnixTime(oldest.div_euclid(1_000)),
            next_expires_at: row.optional_time("next_end")?,
        })
    }
}

/// Reads the number of bodies, and the time of the oldest; `None` if there are none.
fn read_bodies(row: &Row<'_>) -> store::Result<Option<(i64, UnixTime)>> {
    let oldest = row.optional_time("oldest")?;
    let count = row.get("count")?;
    Ok(oldest.map(|oldest| (count, oldest)))
}
