//! Projects as the scope of settings.

use std::ops::Deref;

use base::ids::{Id, ProjectId};
use base::{Error, Result};

use super::Project;
use crate::operation::{ProjectRef, ResourcePath, Scope};

/// A project that is not archived, as the scope of settings. Settings of an archived project are not found.
pub struct ConfiguredProject(Project);

impl Deref for ConfiguredProject {
    type Target = Project;
    fn deref(&self) -> &Project {
        &self.0
    }
}

impl Scope for ConfiguredProject {
    async fn resolve(path: &mut ResourcePath<'_>) -> Result<Self> {
        let project = Project::resolve(path).await?;
        if project.archived_at.is_some() {
            return Err(Error::not_found(ProjectId::NOUN, project.id.as_str()));
        }
        Ok(Self(project))
    }

    fn project(&self) -> Option<ProjectRef<'_>> {
        Some((&self.0).into())
    }
}
