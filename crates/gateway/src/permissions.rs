//! What a project may call: models, and the hosted tools that a request asks for.

use access::HostedTool;
use base::ids::ProjectId;
use base::{Error, Result};

use crate::dialect::Call;
use crate::identify::Caller;

impl Caller {
    /// Refuses what the project may not call. Models are known by the name that the client asked for.
    ///
    /// # Errors
    /// 403: the model, or a hosted tool, is not for this project. 400: which tools are asked for cannot be told.
    pub(crate) fn may_call(&self, call: &Call) -> Result<()> {
        self.may_use_model(&call.model)?;
        for model in &call.models {
            self.may_use_model(model)?;
        }
        if let Some(tool) = call.disallowed_tool(self.level().tools)? {
            return Err(self.tool_not_enabled(tool).about("tools"));
        }
        if call.has_prompt {
            self.may_use_prompts()
                .map_err(|error| error.about("prompt"))?;
        }
        Ok(())
    }

    /// Refuses stored prompts where a hosted tool is not enabled: they may bring any.
    ///
    /// # Errors
    /// 403.
    pub(crate) fn may_use_prompts(&self) -> Result<()> {
        let mut all = HostedTool::ALL.iter().copied();
        let Some(tool) = all.find(|tool| !self.level().tools.contains(*tool)) else {
            return Ok(());
        };
        let (tool, project) = (tool.as_str(), &self.project.id);
        let message = format!(
            "A stored prompt may bring the hosted tool {tool}, which is not enabled for the project '{project}'. Send what \
             the prompt holds instead, or ask an administrator to enable the tool."
        );
        Err(Error::forbidden("hosted_tool_not_enabled", message))
    }

    /// Refuses hosted tools, by their names, that are not enabled for this project.
    ///
    /// # Errors
    /// 403.
    pub(crate) fn may_use_tools<'a>(&self, names: impl Iterator<Item = &'a str>) -> Result<()> {
        let mut tools = names.filter_map(HostedTool::parse);
        match tools.find(|tool| !self.level().tools.contains(*tool)) {
            None => Ok(()),
            Some(tool) => Err(self.tool_not_enabled(tool)),
        }
    }

    fn tool_not_enabled(&self, tool: HostedTool) -> Error {
        let (tool, project) = (tool.as_str(), &self.project.id);
        let message = format!(
            "The hosted tool {tool} is not enabled for the project '{project}'. Leave it out of the request, or ask \
             an administrator to enable it."
        );
        Error::forbidden("hosted_tool_not_enabled", message)
    }

    /// Refuses a model that is not for this project.
    ///
    /// # Errors
    /// 403.
    pub(crate) fn may_use_model(&self, model: &str) -> Result<()> {
        let policy = self.level().models.as_ref();
        if policy.is_none_or(|policy| policy.allows(model)) {
            return Ok(());
        }
        Err(not_for(&self.project.id, model))
    }
}

fn not_for(project: &ProjectId, model: &str) -> Error {
    let shown: String = model.chars().take(80).collect();
    let message = format!(
        "The project '{project}' does not have access to the model '{shown}'. An administrator can change its model permissions."
    );
    Error::forbidden("model_not_found", message).about("model")
}
