//! Reading stored bodies, for an operator who has the deployment's secret.

use base::UnixTime;
use base::ids::{OrganizationId, ProjectId, RequestId};
use base::secret::Pepper;
use store::{Database, Result, Row, sql};
use zeroize::Zeroizing;

use crate::Side;
use crate::table::context;

/// The metadata of a stored body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyEntry {
    /// The organization.
    pub organization: OrganizationId,
    /// The project.
    pub project: ProjectId,
    /// The id of the request.
    pub request: RequestId,
    /// The side of the exchange that the body is of.
    pub side: Side,
    /// The time of the request's admission.
    pub created_at: UnixTime,
    /// The path of the request after `/v1`.
    pub endpoint: String,
    /// The model, as the client named it.
    pub model: String,
    /// The status of the answer; `None` if there was none.
    pub status: Option<i64>,
    /// The number of bytes of the body, as far as they were seen.
    pub length: i64,
    /// The number of bytes that are kept.
    pub kept: i64,
}

/// A stored body.
pub struct StoredBody {
    /// The metadata.
    pub entry: BodyEntry,
    /// The bytes; `None` if they were encrypted with another secret, or changed.
    pub bytes: Option<Zeroizing<Vec<u8>>>,
}

const WITHOUT_BYTES: &str = "\
    SELECT b.organization_id, b.project_id, b.request_id, b.side, b.created_at, b.endpoint, b.model, b.status, \
           b.length, b.kept \
    FROM bodies b WHERE ";

/// Returns the bodies of a request: the request's first, then the answer's.
///
/// # Errors
/// The database failed.
pub async fn find(
    database: &Database,
    pepper: &Pepper,
    request: &RequestId,
) -> Result<Vec<StoredBody>> {
    let mut connection = database.read().await?;
    let mut statement = sql!(WITHOUT_BYTES);
    statement.push("b.request_id = ").bind(request);
    statement.push(" ORDER BY b.side DESC");
    let mut bodies = Vec::new();
    for entry in connection.fetch_all(statement, BodyEntry::read).await? {
        let statement = sql!(
            "SELECT content FROM bodies \
             WHERE organization_id = $1 AND project_id = $2 AND request_id = $3 AND side = $4",
            &entry.organization,
            &entry.project,
            &entry.request,
            entry.side.as_str()
        );
        let content = connection.fetch_optional(statement, |row| row.get::<Vec<u8>>("content"));
        // The body may have been deleted meanwhile.
        if let Some(content) = content.await? {
            let place = (entry.organization.clone(), entry.project.clone());
            let context = context(&place, &entry.request, entry.side);
            let bytes = pepper.unseal_bytes(&context, &content);
            bodies.push(StoredBody { entry, bytes });
        }
    }
    Ok(bodies)
}

/// Returns at most `limit` bodies of a project, of requests since a time, newest first.
///
/// # Errors
/// The database failed.
pub async fn list(
    database: &Database,
    project: &ProjectId,
    since: UnixTime,
    limit: i64,
) -> Result<Vec<BodyEntry>> {
    let mut connection = database.read().await?;
    let mut statement = sql!(WITHOUT_BYTES);
    statement.push("b.project_id = ").bind(project);
    statement.push(" AND b.created_at >= ").bind(since);
    statement.push(" ORDER BY b.created_at DESC, b.request_id DESC, b.side DESC LIMIT ");
    statement.bind(limit);
    connection.fetch_all(statement, BodyEntry::read).await
}

impl BodyEntry {
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

    /// True if the body was truncated.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.kept < self.length
    }
}
