//! `/organization/projects/{project_id}/hosted_tool_permissions`: which hosted tools a project may use.

use base::{Permission, Result};
use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::Row;

use super::ConfiguredProject;
use crate::operation::{Done, Event, EventType, Nothing, Operation, Read, Write, read, write};
use crate::{args, tenant_sql};

pub(crate) fn operations() -> Vec<Operation> {
    use Permission::{ProjectSettingsRead, ProjectSettingsWrite};
    const ONE: &str = "/organization/projects/{project_id}/hosted_tool_permissions";
    vec![
        read(
            "projects:hosted-tool-permissions retrieve",
            ONE,
            ProjectSettingsRead,
            "Retrieves which hosted tools the project may use.",
            retrieve,
        ),
        write(
            "projects:hosted-tool-permissions update",
            Method::POST,
            ONE,
            ProjectSettingsWrite,
            "Sets which hosted tools the project may use; what is not named stays as it is.",
            update,
        ),
    ]
}

/// Which hosted tools a project may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct HostedToolPermissions {
    file_search: HostedTool,
    web_search: HostedTool,
    image_generation: HostedTool,
    mcp: HostedTool,
    code_interpreter: HostedTool,
}

/// Whether a hosted tool may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct HostedTool {
    enabled: bool,
}

impl HostedTool {
    const ENABLED: Self = Self { enabled: true };
}

impl Default for HostedToolPermissions {
    fn default() -> Self {
        Self {
            file_search: HostedTool::ENABLED,
            web_search: HostedTool::ENABLED,
            image_generation: HostedTool::ENABLED,
            mcp: HostedTool::ENABLED,
            code_interpreter: HostedTool::ENABLED,
        }
    }
}

impl HostedToolPermissions {
    fn read(row: &Row<'_>) -> store::Result<Self> {
        let tool = |column| row.get(column).map(|enabled| HostedTool { enabled });
        Ok(Self {
            file_search: tool("file_search")?,
            web_search: tool("web_search")?,
            image_generation: tool("image_generation")?,
            mcp: tool("mcp")?,
            code_interpreter: tool("code_interpreter")?,
        })
    }
}

const ONE: &str = "\
    SELECT file_search, web_search, image_generation, mcp, code_interpreter FROM hosted_tool_permissions \
    WHERE organization_id = $1 AND project_id = $2";

async fn retrieve(
    mut cx: Read,
    project: ConfiguredProject,
    _: Nothing,
) -> Result<HostedToolPermissions> {
    let one = tenant_sql!(cx, ONE, args![&project.id]);
    let found = cx.fetch_optional(one, HostedToolPermissions::read).await?;
    Ok(found.unwrap_or_default())
}

/// Null or absent: as it was.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct UpdateHostedToolPermissions {
    #[serde(skip_serializing_if = "Option::is_none")]
    file_search: Option<HostedTool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    web_search: Option<HostedTool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_generation: Option<HostedTool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mcp: Option<HostedTool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code_interpreter: Option<HostedTool>,
}

async fn update(
    mut cx: Write,
    project: ConfiguredProject,
    body: UpdateHostedToolPermissions,
) -> Result<Done<HostedToolPermissions>> {
    let one = tenant_sql!(cx, ONE, args![&project.id]);
    let found = cx.fetch_optional(one, HostedToolPermissions::read).await?;
    let old = found.unwrap_or_default();
    let new = HostedToolPermissions {
        file_search: body.file_search.unwrap_or(old.file_search),
        web_search: body.web_search.unwrap_or(old.web_search),
        image_generation: body.image_generation.unwrap_or(old.image_generation),
        mcp: body.mcp.unwrap_or(old.mcp),
        code_interpreter: body.code_interpreter.unwrap_or(old.code_interpreter),
    };
    if new == old {
        return Ok(cx.unchanged(new));
    }
    let save = tenant_sql!(
        cx,
        "INSERT INTO hosted_tool_permissions \
             (organization_id, project_id, file_search, web_search, image_generation, mcp, code_interpreter) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) \
         ON CONFLICT (organization_id, project_id) DO UPDATE SET file_search = excluded.file_search, \
             web_search = excluded.web_search, image_generation = excluded.image_generation, mcp = excluded.mcp, \
             code_interpreter = excluded.code_interpreter",
        args![
            &project.id,
            new.file_search.enabled,
            new.web_search.enabled,
            new.image_generation.enabled,
            new.mcp.enabled,
            new.code_interpreter.enabled
        ],
    );
    cx.execute(save).await?;
    let details = json!({"changes_requested": body});
    let event = Event::new(
        EventType::HostedToolPermissionsUpdated,
        &project.id,
        details,
    );
    Ok(cx.done(event, new))
}
