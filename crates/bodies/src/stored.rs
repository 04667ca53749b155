//! Reading what is kept: for an operator who has the deployment's secret.

use base::UnixTime;
use base::ids::{OrganizationId, ProjectId, RequestId};
use base::secret::Pepper;
use store::{Database, Result, Row, sql};
use zeroize::Zeroizing;

use crate::Side;
use crate::table::context;

/// A body that is kept, without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Whose it is.
    pub organization: OrganizationId,
    /// Where the request was made.
    pub project: ProjectId,
    /// The request's id.
    pub request: RequestId,
    /// Which of the request's bodies it is.
    pub side: Side,
    /// When the request was admitted.
    pub created_at: UnixTime,
    /// What follows `/v1` in the request's path.
    pub endpoint: String,
    /// As the client named it.
    pub model: String,
    /// Of the answer; none when there was none.
    pub status: Option<i64>,
    /// How many bytes it had, as far as they were seen.
    pub length: i64,
    /// How many of them are kept.
    pub kept: i64,
}

/// A body that is kept.
pub struct Body {
    /// What it is.
    pub entry: Entry,
    /// Its bytes; none when they were encrypted with another secret, or changed.
    pub bytes: Option<Zeroizing<Vec<u8>>>,
}

const WITHOUT_BYTES: &str = "\
    SELECT b.organization_id, b.project_id, b.request_id, b.side, b.created_at, b.endpoint, b.model, b.status, \
           b.length, b.kept \
    FROM bodies b WHERE ";

/// What is kept of a request: what was sent, then what was answered.
///
/// # Errors
/// The database's.
pub async fn find(database: &Database, pepper: &Pepper, request: &RequestId) -> Result<Vec<Body>> {
    let mut connection = database.read().await?;
    let mut statement = sql!(WITHOUT_BYTES);
    statement.push("b.request_id = ").bind(request);
    statement.push(" ORDER BY b.side DESC");
    let mut bodies = Vec::new();
    for entry in connection.fetch_all(statement, Entry::read).await? {
        let statement = sql!(
            "SELECT content FROM bodies \
             WHERE organization_id = $1 AND project_id = $2 AND request_id = $3 AND side = $4",
            &entry.organization,
            &entry.project,
            &entry.request,
            entry.side.as_str()
        );
        let content = connection.fetch_optional(statement, |row| row.get::<Vec<u8>>("content"));
        // It may have been deleted a moment ago.
        if let Some(content) = content.await? {
            let place = (entry.organization.clone(), entry.project.clone());
            let context = context(&place, &entry.request, entry.side);
            let bytes = pepper.unseal_bytes(&context, &content);
            bodies.push(Body { entry, bytes });
        }
    }
    Ok(bodies)
}

/// What is kept of a project, the newest first, of requests since a moment.
///
/// # Errors
/// The database's.
pub async fn list(
    database: &Database,
    project: &ProjectId,
    since: UnixTime,
    limit: i64,
) -> Result<Vec<Entry>> {
    let mut connection = database.read().await?;
    let mut statement = sql!(WITHOUT_BYTES);
    statement.push("b.project_id = ").bind(project);
    statement.push(" AND b.created_at >= ").bind(since);
    statement.push(" ORDER BY b.created_at DESC, b.request_id DESC, b.side DESC LIMIT ");
    statement.bind(limit);
    connection.fetch_all(statement, Entry::read).await
}

impl Entry {
    fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            organization: row.id("organization_id")?,
            project: row.id("project_id")?,
            request: row.id("request_id")?,
            side: row.word("side", Side::parse)?,
            created_at: row.time("created_at")?,
            endpoint: row.get("endpoint")?,
            model: row.get("model")?,
            status: row.get("status")?,
            length: row.get("length")?,
            kept: row.get("kept")?,
        })
    }

    /// Whether not all of it is kept.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.kept < self.length
    }
}
