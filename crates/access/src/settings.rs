//! What is set for an organization and its projects, as far as it decides what becomes of a request to the gateway.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use base::ids::ProjectId;
use base::{ModelKind, NanoDollars, names};

use crate::{Authority, ModelLimits};

/// What is set for an organization and its projects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// For the organization itself.
    pub organization: Level,
    /// For those of its projects that have something of their own.
    pub(crate) projects: HashMap<ProjectId, Arc<Level>>,
    /// For the others: nothing.
    unset: Arc<Level>,
}

/// What is set in one place: for an organization, or for one of its projects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Level {
    /// The limits that were changed, by model. Of projects only.
    pub(crate) limits: HashMap<String, ModelLimits>,
    /// Which models may be called; all of them where nothing is set. Of projects only.
    pub models: Option<ModelPolicy>,
    /// Which hosted tools may be used. Of projects only.
    pub tools: HostedTools,
    /// How long what clients send is kept, where something is set.
    pub retention: Option<Retention>,
    /// The month's spend at which requests are refused.
    pub spend_limit: Option<NanoDollars>,
    /// The authorities that are active here, by the ids of their certificates.
    pub authorities: BTreeMap<String, Authority>,
}

/// Which models a project may call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelPolicy {
    /// Whether those that are named are the only ones, or the only ones not.
    pub is_allow_list: bool,
    /// Their names.
    pub names: HashSet<String>,
}

/// A tool that a model server runs for a client.
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

/// Some of the hosted tools: all of them, unless some are taken away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostedTools {
    without: u8,
}

/// What a data retention setting asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Retention {
    /// Nothing in particular.
    #[default]
    NoControl,
    /// Nothing that clients send or get is kept.
    ZeroDataRetention,
    /// Nothing but what a request was about is kept.
    ModifiedAbuseMonitoring,
    /// As [`Self::ZeroDataRetention`], of images and audio as well.
    EnhancedZeroDataRetention,
    /// As [`Self::ModifiedAbuseMonitoring`], of images and audio as well.
    EnhancedModifiedAbuseMonitoring,
}

names! { Retention {
    NoControl = "none",
    ZeroDataRetention = "zero_data_retention",
    ModifiedAbuseMonitoring = "modified_abuse_monitoring",
    EnhancedZeroDataRetention = "enhanced_zero_data_retention",
    EnhancedModifiedAbuseMonitoring = "enhanced_modified_abuse_monitoring",
}}

impl Retention {
    /// Whether those who work on a request may not store it either.
    #[must_use]
    pub fn is_zero(self) -> bool {
        matches!(
            self,
            Self::ZeroDataRetention | Self::EnhancedZeroDataRetention
        )
    }

    /// Whether what a client sends or gets may be kept: text, and what can have text in it.
    #[must_use]
    pub fn allows_text(self) -> bool {
        self == Self::NoControl
    }

    /// Whether images and sound may be kept.
    #[must_use]
    pub fn allows_media(self) -> bool {
        !matches!(
            self,
            Self::EnhancedZeroDataRetention | Self::EnhancedModifiedAbuseMonitoring
        )
    }

    /// What a word in the table asks for; none where a project has what its organization has.
    pub(crate) fn of_word(word: &str) -> Option<Option<Self>> {
        match word {
            "organization_default" => Some(None),
            word => Self::parse(word).map(Some),
        }
    }
}

impl Settings {
    /// What is set for one of the projects.
    #[must_use]
    pub fn project(&self, id: &ProjectId) -> &Arc<Level> {
        self.projects.get(id).unwrap_or(&self.unset)
    }

    /// What holds for the data of a project with these settings: what is set for it, else for the organization.
    #[must_use]
    pub fn retention(&self, project: &Level) -> Retention {
        let own = project.retention;
        own.or(self.organization.retention).unwrap_or_default()
    }
}

impl Level {
    /// The limits that hold for a model, of this kind if anybody has said it.
    #[must_use]
    pub fn limits(&self, model: &str, kind: Option<ModelKind>) -> ModelLimits {
        ModelLimits::of(model, kind, self.limits.get(model))
    }
}

impl ModelPolicy {
    /// Whether a model of this name may be called.
    #[must_use]
    pub fn allows(&self, model: &str) -> bool {
        self.names.contains(model) == self.is_allow_list
    }
}

impl HostedTools {
    /// Whether it is among them.
    #[must_use]
    pub fn contains(self, tool: HostedTool) -> bool {
        self.without & 1 << tool as u8 == 0
    }

    /// Takes one away.
    pub fn remove(&mut self, tool: HostedTool) {
        self.without |= 1 << tool as u8;
    }
}

#[cfg(test)]
mod tests {
    use base::ids::Id;

    use super::*;

    #[test]
    fn a_project_has_its_organizations_retention_unless_it_has_its_own() {
        let mut settings = Settings::default();
        let project = ProjectId::from_text("proj_1".into());
        let retention = |settings: &Settings| settings.retention(settings.project(&project));
        assert_eq!(retention(&settings), Retention::NoControl);
        settings.organization.retention = Some(Retention::ZeroDataRetention);
        assert_eq!(retention(&settings), Retention::ZeroDataRetention);
        let own = Level {
            retention: Some(Retention::NoControl),
            ..Level::default()
        };
        settings.projects.insert(project.clone(), Arc::new(own));
        assert_eq!(retention(&settings), Retention::NoControl);
    }

    #[test]
    fn tools_are_taken_away_one_by_one() {
        let mut tools = HostedTools::default();
        for (index, tool) in HostedTool::ALL.iter().enumerate() {
            tools.remove(*tool);
            let left = HostedTool::ALL.iter().map(|tool| tools.contains(*tool));
            let expected = (0..HostedTool::ALL.len()).map(|other| other > index);
            assert!(left.eq(expected), "{tool:?}");
        }
    }

    #[test]
    fn a_list_says_who_may_or_who_may_not() {
        let mut policy = ModelPolicy {
            is_allow_list: true,
            names: HashSet::from(["a".to_owned()]),
        };
        assert!(policy.allows("a") && !policy.allows("b"));
        policy.is_allow_list = false;
        assert!(!policy.allows("a") && policy.allows("b"));
    }
}
