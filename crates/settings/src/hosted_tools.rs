//! Permissions for hosted tools.

use base::{EventType, names};
use store::{Result, Row, Value};

use crate::setting::row_sql;
use crate::{RowSetting, RowSql, ScopeSettings};

/// A tool that a model server runs on behalf of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the contract's own")]
pub enum HostedTool {
    FileSearch,
    WebSearch,
    ImageGeneration,
    Mcp,
    CodeInterpreter,
}

names! { HostedTool {
    FileSearch = "file_search",
    WebSearch = "web_search",
    ImageGeneration = "image_generation",
    Mcp = "mcp",
    CodeInterpreter = "code_interpreter",
}}

/// Set of the hosted tools that a project may use. The default, without a row, is all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostedTools {
    /// Bit set of the tools that are excluded, by their position in [`HostedTool::ALL`].
    excluded: u8,
}

impl HostedTools {
    /// Returns true if `tool` may be used.
    #[must_use]
    pub fn contains(self, tool: HostedTool) -> bool {
        self.excluded & 1 << tool as u8 == 0
    }

    /// Excludes `tool`.
    pub fn remove(&mut self, tool: HostedTool) {
        self.excluded |= 1 << tool as u8;
    }

    /// Includes or excludes `tool`.
    pub fn set(&mut self, tool: HostedTool, is_included: bool) {
        if is_included {
            self.excluded &= !(1 << tool as u8);
        } else {
            self.remove(tool);
        }
    }
}

impl RowSetting for HostedTools {
    const SQL: RowSql = row_sql!("hosted_tool_permissions" {
        "file_search" = "$3", "web_search" = "$4", "image_generation" = "$5", "mcp" = "$6", "code_interpreter" = "$7"
    });
    const UPDATED: EventType = EventType::HostedToolPermissionsUpdated;

    fn read(row: &Row<'_>) -> Result<Self> {
        let mut tools = Self::default();
        for tool in HostedTool::ALL {
            tools.set(*tool, row.get(tool.as_str())?);
        }
        Ok(tools)
    }

    fn values(&self) -> Vec<Value> {
        let tools = HostedTool::ALL.iter();
        tools.map(|tool| self.contains(*tool).into()).collect()
    }

    fn enforce(self, scope: &mut ScopeSettings) {
        scope.tools = self;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removing_a_tool_leaves_the_others() {
        let mut tools = HostedTools::default();
        for (index, tool) in HostedTool::ALL.iter().enumerate() {
            tools.remove(*tool);
            let left = HostedTool::ALL.iter().map(|tool| tools.contains(*tool));
            let expected = (0..HostedTool::ALL.len()).map(|other| other > index);
            assert!(left.eq(expected), "{tool:?}");
        }
        tools.set(HostedTool::Mcp, true);
        assert!(tools.contains(HostedTool::Mcp) && !tools.contains(HostedTool::WebSearch));
    }
}
