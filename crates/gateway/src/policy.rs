//! Policy of a project: the models, hosted tools and service tiers that it may use, and data retention at model servers.

mod prompt_cache;

use access::{HostedTool, ServiceTiers};
use base::{Error, Result};

use crate::caller::Caller;
use crate::dialect::{Call, ItemBody, RequestedTier, SERVICE_TIER};

/// The stage that checks a request against the settings of the caller's project.
pub(crate) struct ProjectPolicy<'a>(&'a Caller);

impl<'a> ProjectPolicy<'a> {
    /// Returns the policy of the caller's project.
    pub(crate) fn of(caller: &'a Caller) -> Self {
        Self(caller)
    }

    /// Checks the models, hosted tools, stored prompts and the service tier that a request names. Models are known by the name that the client
    /// chose, which may be an alias.
    ///
    /// # Errors
    /// 403: the project may not use a model, a hosted tool or the service tier. 400: the tools of the request are ambiguous.
    pub(crate) fn check_call(&self, call: &Call) -> Result<()> {
        self.check_model(&call.model)?;
        let disallowed = call.disallowed_tool(self.0.level.tools)?;
        self.check_content(&call.models, disallowed)?;
        if call.has_prompt {
            self.check_prompts()
                .map_err(|error| error.about("prompt"))?;
        }
        if let Some(tier) = call.requested_tier() {
            self.check_tier(tier)?;
        }
        Ok(())
    }

    /// Checks the models and hosted tools that the items of a conversation name.
    ///
    /// # Errors
    /// Those of [`Self::check_call`].
    pub(crate) fn check_items(&self, items: &ItemBody) -> Result<()> {
        let disallowed = items.disallowed_tool(self.0.level.tools)?;
        self.check_content(&items.models, disallowed)
    }

    fn check_content(&self, models: &[String], disallowed: Option<HostedTool>) -> Result<()> {
        for model in models {
            self.check_model(model)?;
        }
        match disallowed {
            Some(tool) => Err(self.tool_not_enabled(tool).about("tools")),
            None => Ok(()),
        }
    }

    /// Checks that the project may use a model.
    ///
    /// # Errors
    /// 403.
    pub(crate) fn check_model(&self, model: &str) -> Result<()> {
        let models = self.0.level.models.as_ref();
        if models.is_none_or(|models| models.allows(model)) {
            return Ok(());
        }
        let (project, shown) = (&self.0.project.id, base::shown(model));
        let message = format!(
            "The project '{project}' does not have access to the model '{shown}'. An administrator can change its model permissions."
        );
        Err(Error::forbidden("model_not_found", message).about("model"))
    }

    /// Checks that the project may use the hosted tools with these names.
    ///
    /// # Errors
    /// 403.
    pub(crate) fn check_tools<'tool>(&self, names: impl Iterator<Item = &'tool str>) -> Result<()> {
        let mut tools = names.filter_map(HostedTool::parse);
        match tools.find(|tool| !self.0.level.tools.contains(*tool)) {
            None => Ok(()),
            Some(tool) => Err(self.tool_not_enabled(tool)),
        }
    }

    /// Checks that the project may ask for a service tier.
    ///
    /// # Errors
    /// 403.
    pub(crate) fn check_tier(&self, tier: &RequestedTier) -> Result<()> {
        if tier.is_enabled(self.tiers()) {
            return Ok(());
        }
        let project = &self.0.project.id;
        let shown = base::shown(tier.name());
        let message = format!(
            "The service tier '{shown}' is not enabled for the project '{project}'. Leave service_tier out of the request, \
             or ask an administrator to enable the tier in the project's service_tier_settings."
        );
        Err(Error::forbidden("service_tier_not_enabled", message).about(SERVICE_TIER))
    }

    /// Returns the service tiers of the project.
    pub(crate) fn tiers(&self) -> &'a ServiceTiers {
        &self.0.level.service_tiers
    }

    /// Edits a request as the project's settings demand: model servers store nothing under zero data retention, and serve
    /// a request that names no service tier in the project's default tier.
    ///
    /// # Errors
    /// 400: under zero data retention, the request makes a model server store its content in any case.
    pub(crate) fn apply(&self, call: &mut Call) -> Result<()> {
        call.set_default_tier(self.tiers().default);
        self.apply_retention(call)
    }

    /// Tells model servers to store nothing of a request if the project has zero data retention.
    ///
    /// # Errors
    /// 400: the request makes a model server store its content in any case.
    fn apply_retention(&self, call: &mut Call) -> Result<()> {
        if !self.has_zero_retention() {
            return Ok(());
        }
        if call.is_background {
            let message = "background makes the model server keep the response, and the project has zero data retention. Send the \
                           request without background instead.";
            return Err(Error::refused("zero_data_retention", message).about("background"));
        }
        if let Some(name) = call.stored_by {
            let message = format!(
                "{name} makes the model server keep what is said, and the project has zero data retention. Send what was said in \
                 input instead."
            );
            return Err(Error::refused("zero_data_retention", message).about(name));
        }
        call.disable_store();
        Ok(())
    }

    /// True if nothing of the project's requests may be stored anywhere.
    pub(crate) fn has_zero_retention(&self) -> bool {
        self.0.settings.retention(&self.0.level).is_zero()
    }

    /// Checks that every hosted tool is enabled: a stored prompt may bring any.
    fn check_prompts(&self) -> Result<()> {
        let mut all = HostedTool::ALL.iter().copied();
        let Some(tool) = all.find(|tool| !self.0.level.tools.contains(*tool)) else {
            return Ok(());
        };
        let (tool, project) = (tool.as_str(), &self.0.project.id);
        let message = format!(
            "A stored prompt may bring the hosted tool {tool}, which is not enabled for the project '{project}'. Send what \
             the prompt holds instead, or ask an administrator to enable the tool."
        );
        Err(Error::forbidden("hosted_tool_not_enabled", message))
    }

    fn tool_not_enabled(&self, tool: HostedTool) -> Error {
        let (tool, project) = (tool.as_str(), &self.0.project.id);
        let message = format!(
            "The hosted tool {tool} is not enabled for the project '{project}'. Leave it out of the request, or ask \
             an administrator to enable it."
        );
        Error::forbidden("hosted_tool_not_enabled", message)
    }
}

#[cfg(test)]
mod tests {
    use access::{ModelPolicy, ScopeSettings};

    use super::*;
    use crate::caller::tests::caller;

    #[test]
    fn a_project_uses_the_models_and_tools_that_its_settings_allow() {
        let mut settings = ScopeSettings {
            models: Some(ModelPolicy {
                is_allow_list: true,
                names: std::iter::once("m".to_owned()).collect(),
            }),
            ..ScopeSettings::default()
        };
        settings.tools.remove(HostedTool::Mcp);
        let caller = caller(settings);
        let policy = ProjectPolicy::of(&caller);
        assert!(policy.check_model("m").is_ok());
        let error = policy.check_model("n").expect_err("not allowed");
        assert_eq!(
            (error.status.as_u16(), error.param.as_deref()),
            (403, Some("model"))
        );
        assert!(policy.check_tools(["web_search"].into_iter()).is_ok());
        let error = policy.check_tools(["web_search", "mcp"].into_iter());
        assert!(error.expect_err("not enabled").message.contains("mcp"));
    }
}
