//! The hosted tools that a request asks for.

use access::{HostedTool, HostedTools};
use base::{Error, Result};

/// The hosted tools of a request.
#[derive(Debug, Default)]
pub(super) struct RequestedTools {
    /// The tools, in the order of the request.
    tools: Vec<HostedTool>,
    /// True if there is a value among the tools that is none, so that it is unknown what a server takes it for.
    pub(super) is_ambiguous: bool,
    /// True if the request names a stored prompt, which may bring tools that only its server knows.
    pub(super) has_prompt: bool,
}

/// The parts of names of models that search the web without being asked.
const SEARCHING_MODELS: [&str; 3] = ["-search-preview", "-search-api", ":online"];

/// Other names of tools that run programs at the model server.
const CODE_INTERPRETERS: [&str; 1] = ["programmatic_tool_calling"];

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
        let mut all = own.into_iter().chain(self.tools.iter().copied());
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
    all.find(|tool| {
        let rest = tool_type.strip_prefix(tool.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
    })
}

#[cfg(test)]
mod tests {
    use super::super::Fields;
    use super::*;

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
