//! The facts by which the session of a container is charged that a model server has made for a response.

use serde::{Deserialize, Serialize};

/// The session of a container, as it is stored with the container until it is charged. The names of the fields stay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ContainerSession {
    /// Memory of the container, if the request has named one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) memory_limit: Option<String>,
}

impl ContainerSession {
    /// Returns the session of a container with this memory.
    pub(crate) fn of(memory: Option<&str>) -> Self {
        Self {
            memory_limit: memory.map(str::to_owned),
        }
    }

    /// Returns the JSON that is stored.
    pub(crate) fn to_text(&self) -> String {
        serde_json::json!(self).to_string()
    }

    /// Reads the stored JSON; `None` if there is none.
    pub(crate) fn of_text(text: Option<&str>) -> Option<Self> {
        serde_json::from_str(text?).ok()
    }
}
