//! The hosted tools that a request asks for.

use access::{HostedTool, HostedTools};
use base::{Error, Result};

use super::tool_variants::ToolVariants;

/// The hosted tools of a request.
#[derive(Debug, Default)]
pub(super) struct RequestedTools {
    /// The tools, in the order of the request.
    tools: Vec<HostedTool>,
    /// True if there is a value among the tools that is none, so that it is unknown what a server takes it for.
    pub(super) is_ambiguous: bool,
    /// The first tool in Anthropic's format of a type that is unknown, so that a server may run anything for it.
    unknown: Option<String>,
    /// True if the request names a stored prompt, which may bring tools that only its server knows.
    pub(super) has_prompt: bool,
    /// True if the request is in Anthropic's format, whose tools have no variants.
    pub(super) is_message: bool,
    variants: ToolVariants,
}

/// The parts of names of models that search the web without being asked.
const SEARCHING_MODELS: [&str; 3] = ["-search-preview", "-search-api", ":online"];

/// Other names of tools that run programs at the model server.
const CODE_INTERPRETERS: [&str; 1] = ["programmatic_tool_calling"];

/// The beginning of the types of tools in Anthropic's format that ask another model.
const ADVISOR: &str = "advisor";

/// The tools of Anthropic's format that a model server runs.
const TOOLS_OF_MESSAGES: [(&str, HostedTool); 4] = [
    ("web_search", HostedTool::WebSearch),
    ("web_fetch", HostedTool::WebSearch),
    ("code_execution", HostedTool::CodeInterpreter),
    ("mcp", HostedTool::Mcp),
];
/// The tools of Anthropic's format that the client runs, and the search among the tools of the request. A version may follow.
const CLIENT_TOOLS_OF_MESSAGES: [&str; 6] = [
    "bash",
    "browser_toolset",
    "computer",
    "memory",
    "text_editor",
    "tool_search_tool",
];
/// Tools that the client defines, and choices of a tool.
const CLIENT_TYPES_OF_MESSAGES: [&str; 6] = ["custom", "function", "any", "auto", "none", "tool"];

/// True if a model searches the web without being asked.
pub(super) fn searches_web(model: &str) -> bool {
    SEARCHING_MODELS.iter().any(|part| model.contains(part))
}

impl RequestedTools {
    pub(super) fn add(&mut self, tool: HostedTool) {
        if !self.tools.contains(&tool) {
            self.tools.push(tool);
        }
    }

    /// True if the request asks for this tool.
    pub(super) fn contains(&self, tool: HostedTool) -> bool {
        self.tools.contains(&tool)
    }

    /// Adds a web search with this size of its context.
    pub(super) fn add_search(&mut self, level: Option<&str>) {
        self.variants.add_search(level);
    }

    /// Adds a container with this memory.
    pub(super) fn add_container(&mut self, memory: &str) {
        self.variants.add_container(memory);
    }

    /// Returns the variants of the tools, which are unknown if the request may bring tools that it does not have.
    pub(super) fn variants(&self) -> ToolVariants {
        let mut variants = self.variants.clone();
        variants.is_unknown = self.has_prompt || self.is_message;
        variants
    }

    /// Adds a tool of a type that is unknown.
    pub(super) fn add_unknown(&mut self, tool_type: &str) {
        self.unknown.get_or_insert_with(|| base::shown(tool_type));
    }

    /// Checks that the usage of each tool will be part of the usage that the answer reports.
    ///
    /// # Errors
    /// 400: a tool asks another model, whose tokens are charged at the price of that model.
    pub(super) fn check_metered(&self) -> Result<()> {
        let Some(tool) = self.unknown.as_deref() else {
            return Ok(());
        };
        if !tool.to_ascii_lowercase().starts_with(ADVISOR) {
            return Ok(());
        }
        let message = format!(
            "The tool type {tool} is not taken: its tokens are charged at the price of another model than the request's."
        );
        Err(Error::invalid("tools", message))
    }

    /// Returns the first tool that is not allowed, with the web search of the model itself before all others.
    ///
    /// # Errors
    /// 400: the tools are ambiguous.
    pub(super) fn first_not_in(
        &self,
        allowed: HostedTools,
        model: &str,
    ) -> Result<Option<HostedTool>> {
        if self.is_ambiguous {
            let message = "tools must be a list of objects, each with a string as its type.";
            return Err(Error::invalid("tools", message));
        }
        let own = searches_web(model).then_some(HostedTool::WebSearch);
        let any = self.unknown.as_ref().map_or(&[][..], |_| HostedTool::ALL);
        let named = self.tools.iter().chain(any).copied();
        let mut all = own.into_iter().chain(named);
        Ok(all.find(|tool| !allowed.contains(*tool)))
    }
}

/// Returns the hosted tool of a type. A version may follow its name, as in `web_search_preview_2025_03_11`. Case is ignored, as
/// some servers do.
pub(super) fn hosted_tool(tool_type: &str) -> Option<HostedTool> {
    let tool_type = tool_type.split('\0').next().unwrap_or_default().trim();
    let tool_type = &*tool_type.to_ascii_lowercase();
    if CODE_INTERPRETERS.contains(&tool_type) {
        return Some(HostedTool::CodeInterpreter);
    }
    let mut all = HostedTool::ALL.iter().copied();
    all.find(|tool| is_version_of(tool_type, tool.as_str()))
}

/// Returns the hosted tool of a type in Anthropic's format, such as `web_search_20250305`, or in any other, since servers of
/// others speak this format too.
pub(super) fn hosted_tool_of_messages(tool_type: &str) -> Option<HostedTool> {
    let folded = tool_type.split('\0').next().unwrap_or_default().trim();
    let folded = folded.to_ascii_lowercase();
    let mut named = TOOLS_OF_MESSAGES.iter();
    let named = named.find(|(name, _)| is_version_of(&folded, name));
    named
        .map(|(_, tool)| *tool)
        .or_else(|| hosted_tool(tool_type))
}

/// True if the client runs a tool of this type in Anthropic's format. A tool without a type is the client's.
pub(super) fn is_client_tool_of_messages(tool_type: &str) -> bool {
    let mut names = CLIENT_TOOLS_OF_MESSAGES.iter();
    tool_type.is_empty()
        || CLIENT_TYPES_OF_MESSAGES.contains(&tool_type)
        || names.any(|name| is_version_of(tool_type, name))
}

/// True if a type is `name`, or begins with it and an underscore.
fn is_version_of(tool_type: &str, name: &str) -> bool {
    let rest = tool_type.strip_prefix(name);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
}

#[cfg(test)]
mod tests {
    use super::super::Fields;
    use super::*;
    use crate::dialect::messages::MESSAGES;

    const FIELDS: &[&str] = &["tools", "web_search_options"];

    /// Returns the tool that is refused when only `allowed` may be used.
    fn refused(body: &str, model: &str, allowed: &[HostedTool]) -> Result<Option<&'static str>> {
        let mut tools = HostedTools::default();
        for tool in HostedTool::ALL {
            if !allowed.contains(tool) {
                tools.remove(*tool);
            }
        }
        let fields = Fields::of_json(body.as_bytes(), FIELDS)?;
        let refused = fields.view.tools.first_not_in(tools, model)?;
        Ok(refused.map(HostedTool::as_str))
    }

    #[test]
    fn tools_are_found_wherever_a_request_asks_for_them() {
        for (body, model, tool) in [
            (r#"{"tools":[{"type":"function"}]}"#, "m", None),
            (r#"{"tools":[{"type":"mcp"}]}"#, "m", Some("mcp")),
            (r#"{"tools":[{"type":"\u006dcp"}]}"#, "m", Some("mcp")),
            (r#"{"tools":[{"type":"MCP"}]}"#, "m", Some("mcp")),
            (r#"{"tools":[{"type":" mcp\u0000x"}]}"#, "m", Some("mcp")),
            (r#"{"tools":[{"type":"mcproxy"}]}"#, "m", None),
            (
                r#"{"tools":[{"type":"function","parameters":{"type":"mcp"}},{"type":"code_interpreter","container":{}}]}"#,
                "m",
                Some("code_interpreter"),
            ),
            (
                r#"{"tools":[{"type":"web_search_preview_2025_03_11"}]}"#,
                "m",
                Some("web_search"),
            ),
            (
                r#"{"tools":[{"type":"namespace","tools":[{"type":"image_generation"}]}]}"#,
                "m",
                Some("image_generation"),
            ),
            (r#"{"web_search_options":{}}"#, "m", Some("web_search")),
            (r#"{"web_search_options":null,"tools":null}"#, "m", None),
            ("{}", "gpt-4o-search-preview", Some("web_search")),
            (r#"{"tools":[{},{"name":"x"}]}"#, "m", None),
        ] {
            assert_eq!(refused(body, model, &[]).ok(), Some(tool), "{body}");
            let all = refused(body, model, HostedTool::ALL);
            assert_eq!(all.ok(), Some(None), "{body}");
        }
        let two = r#"{"tools":[{"type":"mcp"},{"type":"file_search"}]}"#;
        let one = refused(two, "m", &[HostedTool::Mcp]);
        assert_eq!(one.ok(), Some(Some("file_search")));
    }

    #[test]
    fn tools_of_messages_are_hosted_the_clients_or_unknown() {
        let refused = |tool: &str, allowed: &[HostedTool]| {
            let mut tools = HostedTools::default();
            for tool in HostedTool::ALL {
                tools.set(*tool, allowed.contains(tool));
            }
            let body = format!(r#"{{"tools":[{{"type":"{tool}","name":"n"}}]}}"#);
            let body = body.as_bytes();
            let fields = Fields::of_call(&http::HeaderMap::new(), body, &MESSAGES);
            let view = fields.expect("a request").view;
            let found = view.tools.first_not_in(tools, "m").expect("clear tools");
            found.map(HostedTool::as_str)
        };
        for (tool, hosted) in [
            ("custom", None),
            ("", None),
            ("bash_20250124", None),
            ("text_editor_20250728", None),
            ("computer_20251124", None),
            ("memory_20250818", None),
            ("browser_toolset_20260801", None),
            ("tool_search_tool_bm25_20251119", None),
            ("web_search_20250305", Some("web_search")),
            ("web_fetch_20250910", Some("web_search")),
            ("code_execution_20250522", Some("code_interpreter")),
            ("mcp_toolset", Some("mcp")),
            ("file_search", Some("file_search")),
            ("Web_Search_20250305", Some("web_search")),
        ] {
            assert_eq!(refused(tool, &[]), hosted, "{tool}");
            assert_eq!(refused(tool, HostedTool::ALL), None, "{tool}");
        }
        let all_but_one = &HostedTool::ALL[1..];
        for tool in ["from_the_future_20300101", "tool_x", "Bash"] {
            assert_eq!(refused(tool, all_but_one), Some("file_search"), "{tool}");
            assert_eq!(refused(tool, HostedTool::ALL), None, "{tool}");
        }
    }

    #[test]
    fn ambiguous_tools_are_refused() {
        for tools in [
            "7",
            "{}",
            r#"[7]"#,
            r#"[{"type":7}]"#,
            r#"[{"type":"function","type":"mcp"}]"#,
        ] {
            let body = format!(r#"{{"tools":{tools}}}"#);
            assert!(refused(&body, "m", &[]).is_err(), "{tools}");
        }
    }
}
