//! Which hosted tools a request asks for.

use std::borrow::Cow;
use std::ops::Range;

use access::{HostedTool, HostedTools};
use base::{Error, Result};
use serde::Deserialize;

use super::Fields;

/// What of a request may ask for hosted tools; it is looked into only when not all of them may be used.
#[derive(Default)]
pub(super) struct Asked {
    /// Where the list of tools stands.
    tools: Option<Range<usize>>,
    searches_web: bool,
}

/// What stands in the names of models that search the web unasked.
const SEARCHING: [&str; 2] = ["-search-preview", "-search-api"];

/// True if this model searches the web unasked.
pub(super) fn searches_web(model: &str) -> bool {
    SEARCHING.iter().any(|word| model.contains(word))
}

/// A tool, and those that it is made of.
#[derive(Deserialize)]
struct Tool<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    tools: Option<Vec<Self>>,
}

impl Asked {
    pub(super) fn of(fields: &Fields<'_>) -> Self {
        let given = |name| fields.get(name).filter(|value| *value != b"null");
        Self {
            tools: given("tools").map(|tools| fields.place(tools)),
            searches_web: given("web_search_options").is_some(),
        }
    }

    /// The first tool that is asked for and is not among those allowed.
    ///
    /// # Errors
    /// 400: what is asked for cannot be told.
    pub(super) fn not_in(
        &self,
        allowed: HostedTools,
        model: &str,
        body: &[u8],
    ) -> Result<Option<HostedTool>> {
        let searches_web = self.searches_web || searches_web(model);
        if searches_web && !allowed.contains(HostedTool::WebSearch) {
            return Ok(Some(HostedTool::WebSearch));
        }
        let Some(place) = self.tools.clone() else {
            return Ok(None);
        };
        let tools = serde_json::from_slice::<Vec<Tool<'_>>>(&body[place]);
        let tools = tools.map_err(|_| {
            let message = "tools must be a list of objects, each with a string as its type.";
            Error::invalid("tools", message)
        })?;
        Ok(first_of(&tools, allowed))
    }
}

fn first_of(tools: &[Tool<'_>], allowed: HostedTools) -> Option<HostedTool> {
    tools.iter().find_map(|tool| {
        let own = tool.kind.as_deref().and_then(hosted);
        let own = own.filter(|tool| !allowed.contains(*tool));
        own.or_else(|| first_of(tool.tools.as_deref().unwrap_or_default(), allowed))
    })
}

/// The hosted tool with a name that begins so: a version may follow, as in `web_search_preview_2025_03_11`.
fn hosted(kind: &str) -> Option<HostedTool> {
    let mut all = HostedTool::ALL.iter().copied();
    all.find(|tool| {
        let rest = kind.strip_prefix(tool.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
    })
}

#[cfg(test)]
mod tests {
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
        let fields = Fields::of_json(body.as_bytes(), FIELDS).expect("fields");
        let asked = Asked::of(&fields).not_in(tools, model, body.as_bytes())?;
        Ok(asked.map(HostedTool::as_str))
    }

    #[test]
    fn tools_are_found_wherever_they_are_asked_for() {
        for (body, model, tool) in [
            (r#"{"tools":[{"type":"function"}]}"#, "m", None),
            (r#"{"tools":[{"type":"mcp"}]}"#, "m", Some("mcp")),
            (r#"{"tools":[{"type":"\u006dcp"}]}"#, "m", Some("mcp")),
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
