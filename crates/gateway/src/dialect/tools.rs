//! Which hosted tools a request asks for.

use access::{HostedTool, HostedTools};
use base::{Error, Result};

/// The hosted tools that a request asks for.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// The tools, in the order in which they are asked for.
    tools: Vec<HostedTool>,
    /// True if something that must be a tool is none, so that nobody can tell what a server takes it for.
    pub(super) is_unclear: bool,
    /// True if it names a stored prompt, which may bring tools that only its server knows.
    pub(super) has_prompt: bool,
}

/// What stands in the names of models that search the web unasked.
const SEARCHING: [&str; 3] = ["-search-preview", "-search-api", ":online"];

/// The tools that run programs at the model server under other names.
const PROGRAMS: [&str; 1] = ["programmatic_tool_calling"];

/// True if this model searches the web unasked.
pub(super) fn searches_web(model: &str) -> bool {
    SEARCHING.iter().any(|word| model.contains(word))
}

impl Asked {
    pub(super) fn add(&mut self, tool: HostedTool) {
        if !self.tools.contains(&tool) {
            self.tools.push(tool);
        }
    }

    /// The first tool that is asked for and is not among those allowed.
    ///
    /// # Errors
    /// 400: what is asked for cannot be told.
    pub(super) fn not_in(&self, allowed: HostedTools, model: &str) -> Result<Option<HostedTool>> {
        if self.is_unclear {
            let message = "tools must be a list of objects, each with a string as its type.";
            return Err(Error::invalid("tools", message));
        }
        let unasked = searches_web(model).then_some(HostedTool::WebSearch);
        let mut asked = unasked.into_iter().chain(self.tools.iter().copied());
        Ok(asked.find(|tool| !allowed.contains(*tool)))
    }
}

/// The hosted tool with a name that begins so: a version may follow, as in `web_search_preview_2025_03_11`. Some servers read
/// words without regard to case, too.
pub(super) fn hosted(kind: &str) -> Option<HostedTool> {
    let kind = kind.split('\0').next().unwrap_or_default().trim();
    let kind = &*kind.to_ascii_lowercase();
    if PROGRAMS.contains(&kind) {
        return Some(HostedTool::CodeInterpreter);
    }
    let mut all = HostedTool::ALL.iter().copied();
    all.find(|tool| {
        let rest = kind.strip_prefix(tool.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
    })
}

#[cfg(test)]
mod tests {
    use super::super::Fields;
    use super::*;

    const FIELDS: &[&str] = &["tools", "web_search_options"];

    /// The tool that is refused when only `allowed` may be used.
    fn refused(body: &str, model: &str, allowed: &[HostedTool]) -> Result<Option<&'static str>> {
        let mut tools = HostedTools::default();
        for tool in HostedTool::ALL {
            if !allowed.contains(tool) {
                tools.remove(*tool);
            }
        }
        let fields = Fields::of_json(body.as_bytes(), FIELDS)?;
        let asked = fields.view.tools.not_in(tools, model)?;
        Ok(asked.map(HostedTool::as_str))
    }

    #[test]
    fn tools_are_found_wherever_they_are_asked_for() {
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
    fn what_cannot_be_told_is_refused() {
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
