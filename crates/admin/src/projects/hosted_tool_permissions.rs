//! `/organization/projects/{project_id}/hosted_tool_permissions`: permissions for hosted tools.

use base::{Permission, Result};
use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use settings::{HostedTool, HostedTools, RowSetting, Setting};

use super::ConfiguredProject;
use crate::operation::{Done, Event, EventType, NoParameters, Operation, Read, Write, read, write};
use crate::{args, setting, tenant_sql};

pub(crate) fn operations() -> Vec<Operation> {
    use Permission::{ProjectSettingsRead, ProjectSettingsWrite};
    const ONE: &str = "/organization/projects/{project_id}/hosted_tool_permissions";
    vec![
        read(
            "projects:hosted-tool-permissions retrieve",
            ONE,
            ProjectSettingsRead,
            "Retrieves the project's hosted tool permissions.",
            retrieve,
        ),
        write(
            "projects:hosted-tool-permissions update",
            Method::POST,
            ONE,
            ProjectSettingsWrite,
            "Modifies the project's hosted tool permissions; absent tools are unchanged.",
            update,
        ),
    ]
}

/// Permissions of a project for hosted tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct HostedToolPermissions {
    file_search: ToolPermission,
    web_search: ToolPermission,
    image_generation: ToolPermission,
    mcp: ToolPermission,
    code_interpreter: ToolPermission,
}

/// Permission for a hosted tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "HostedTool")]
struct ToolPermission {
    enabled: bool,
}

impl From<HostedTools> for HostedToolPermissions {
    fn from(tools: HostedTools) -> Self {
        let tool = |tool| ToolPermission {
            enabled: tools.contains(tool),
        };
        Self {
            file_search: tool(HostedTool::FileSearch),
            web_search: tool(HostedTool::WebSearch),
            image_generation: tool(HostedTool::ImageGeneration),
            mcp: tool(HostedTool::Mcp),
            code_interpreter: tool(HostedTool::CodeInterpreter),
        }
    }
}

async fn retrieve(
    mut cx: Read,
    project: ConfiguredProject,
    _: NoParameters,
) -> Result<HostedToolPermissions> {
    let one = tenant_sql!(cx, HostedTools::SELECT_ONE, args![&project.id]);
    let tools = cx.fetch_optional(one, HostedTools::read).await?;
    Ok(tools.unwrap_or_default().into())
}

/// Changes to permissions for hosted tools. Null or absent fields leave the permission unchanged.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct UpdateHostedToolPermissions {
    #[serde(skip_serializing_if = "Option::is_none")]
    file_search: Option<ToolPermission>,
    #[serde(skip_serializing_if = "Option::is_none")]
    web_search: Option<ToolPermission>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_generation: Option<ToolPermission>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mcp: Option<ToolPermission>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code_interpreter: Option<ToolPermission>,
}

impl UpdateHostedToolPermissions {
    fn apply(&self, tools: &mut HostedTools) {
        for (tool, permission) in [
            (HostedTool::FileSearch, self.file_search),
            (HostedTool::WebSearch, self.web_search),
            (HostedTool::ImageGeneration, self.image_generation),
            (HostedTool::Mcp, self.mcp),
            (HostedTool::CodeInterpreter, self.code_interpreter),
        ] {
            if let Some(permission) = permission {
                tools.set(tool, permission.enabled);
            }
        }
    }
}

async fn update(
    mut cx: Write,
    project: ConfiguredProject,
    body: UpdateHostedToolPermissions,
) -> Result<Done<HostedToolPermissions>> {
    let one = tenant_sql!(cx, HostedTools::SELECT_ONE, args![&project.id]);
    let found = cx.fetch_optional(one, HostedTools::read).await?;
    let old = found.unwrap_or_default();
    let mut new = old;
    body.apply(&mut new);
    if new == old {
        return Ok(cx.unchanged(new.into()));
    }
    setting::save(&mut cx, &project, &new).await?;
    let details = json!({"changes_requested": body});
    let event = Event::new(
        EventType::HostedToolPermissionsUpdated,
        &project.id,
        details,
    );
    Ok(cx.done(event, new.into()))
}
