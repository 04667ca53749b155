//! `/organization/projects/{project_id}/hosted_tool_permissions`: permissions for hosted tools.

use base::{Permission, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use settings::{HostedTool, HostedTools};

use super::ConfiguredProject;
use crate::operation::Operation;
use crate::setting::{SettingPath, SettingResource};

pub(crate) fn operations() -> Vec<Operation> {
    let at = SettingPath {
        path: "/organization/projects/{project_id}/hosted_tool_permissions",
        read: Permission::ProjectSettingsRead,
        write: Permission::ProjectSettingsWrite,
    };
    vec![
        at.retrieve::<HostedTools, ConfiguredProject>(
            "projects:hosted-tool-permissions retrieve",
            "Retrieves the project's hosted tool permissions.",
        ),
        at.update::<HostedTools, ConfiguredProject>(
            "projects:hosted-tool-permissions update",
            "Modifies the project's hosted tool permissions; absent tools are unchanged.",
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

/// Changes to permissions for hosted tools. Null or absent fields leave the permission unchanged.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateHostedToolPermissions {
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

impl SettingResource<ConfiguredProject> for HostedTools {
    type Body = UpdateHostedToolPermissions;
    type Answer = HostedToolPermissions;

    fn apply(old: Option<&Self>, body: UpdateHostedToolPermissions) -> Result<Self> {
        let mut tools = old.copied().unwrap_or_default();
        for (tool, permission) in [
            (HostedTool::FileSearch, body.file_search),
            (HostedTool::WebSearch, body.web_search),
            (HostedTool::ImageGeneration, body.image_generation),
            (HostedTool::Mcp, body.mcp),
            (HostedTool::CodeInterpreter, body.code_interpreter),
        ] {
            if let Some(permission) = permission {
                tools.set(tool, permission.enabled);
            }
        }
        Ok(tools)
    }

    fn answer(tools: Option<&Self>) -> Result<HostedToolPermissions> {
        let tools = tools.copied().unwrap_or_default();
        let tool = |tool| ToolPermission {
            enabled: tools.contains(tool),
        };
        Ok(HostedToolPermissions {
            file_search: tool(HostedTool::FileSearch),
            web_search: tool(HostedTool::WebSearch),
            image_generation: tool(HostedTool::ImageGeneration),
            mcp: tool(HostedTool::Mcp),
            code_interpreter: tool(HostedTool::CodeInterpreter),
        })
    }
}
