//! The body of a request that stores items in a conversation.

use access::{HostedTool, HostedTools};
use base::Result;
use http::HeaderMap;

use super::Fields;
use super::object_refs::ObjectRefs;
use super::requested_tools::RequestedTools;

/// The fields of such a body that are read.
const FIELDS: &[&str] = &["items", "metadata"];

/// The objects, models and tools that the items of a body name. The items are read as those of a request to a model are.
pub(crate) struct ItemBody {
    pub(crate) object_refs: ObjectRefs,
    /// The models that tools name.
    pub(crate) models: Vec<String>,
    /// The first member that names an object at a model server whose owner cannot be known.
    pub(crate) unowned_ref: Option<&'static str>,
    tools: RequestedTools,
}

impl ItemBody {
    /// Reads a body.
    ///
    /// # Errors
    /// 400: the body is malformed or ambiguous.
    pub(crate) fn read(headers: &HeaderMap, body: &[u8]) -> Result<Self> {
        let view = Fields::of_request(headers, body, FIELDS)?.view;
        Ok(Self {
            object_refs: view.object_refs,
            models: view.models,
            unowned_ref: view.unowned_ref,
            tools: view.tools,
        })
    }

    /// Returns the first hosted tool that the items bring and that is not allowed.
    ///
    /// # Errors
    /// 400: the tools are ambiguous.
    pub(crate) fn disallowed_tool(&self, allowed: HostedTools) -> Result<Option<HostedTool>> {
        if allowed == HostedTools::default() {
            return Ok(None);
        }
        self.tools.first_not_in(allowed, "")
    }
}
