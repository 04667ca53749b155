//! `/organization/projects`: create, list, retrieve, modify and archive projects.

use std::ops::Deref;

use base::ids::{MAX_ID_LENGTH, ProjectId};
use base::name::{Name, VISIBLE};
use base::{Error, Permission, Result, UnixTime};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use settings::ENFORCED;
use store::{Row, sql};

use super::residency::Residency;
use crate::list::{List, list_item, oldest_first};
use crate::literal::literals;
use crate::operation::{
    Done, Event, EventType, Limit, NoParameters, Operation, Organization, PROJECT_ARCHIVED, Patch,
    ProjectRef, Read, ResourcePath, Scope, Separated, TenantSql, Write, operations,
};
use crate::search::Search;
use crate::{args, tenant_sql};

pub(super) fn operations() -> Vec<Operation> {
    use Permission::{ProjectsRead, ProjectsWrite};
    const ALL: &str = "/organization/projects";
    const ONE: &str = "/organization/projects/{project_id}";
    const ARCHIVE: &str = "/organization/projects/{project_id}/archive";
    operations! {
        GET "projects list", ALL, ProjectsRead, "Lists the organization's projects.", list;
        POST "projects create", ALL, ProjectsWrite, "Creates a project.", create;
        GET "projects retrieve", ONE, ProjectsRead, "Retrieves a project.", retrieve;
        POST "projects update", ONE, ProjectsWrite, "Modifies a project.", update;
        POST "projects archive", ARCHIVE, ProjectsWrite, "Archives a project irreversibly.", archive;
    }
}

literals! {
    ProjectObject = "organization.project";
}

/// A project, which groups keys, limits and usage.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Project {
    object: ProjectObject,
    /// Id.
    pub id: ProjectId,
    /// Name of the project.
    pub name: String,
    /// Time of creation.
    pub created_at: UnixTime,
    /// Time of archival; null while the project is active.
    pub archived_at: Option<UnixTime>,
    status: ProjectStatus,
    external_key_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Residency")]
    residency: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum ProjectStatus {
    Active,
    Archived,
}

/// A project that is not archived. In an archived one, the operation is refused, and resources of the project are not found.
pub struct ActiveProject(Project);

impl Deref for ActiveProject {
    type Target = Project;
    fn deref(&self) -> &Project {
        &self.0
    }
}

const COLUMNS_FROM: &str = "\
    SELECT id, name, created_at, archived_at, external_key_id, residency \
    FROM projects WHERE organization_id = $1";

impl Project {
    fn read(row: &Row<'_>) -> store::Result<Self> {
        let (id, name) = (row.id("id")?, row.get("name")?);
        let created_at = row.time("created_at")?;
        let archived_at = row.optional_time("archived_at")?;
        Ok(Self {
            object: ProjectObject,
            id,
            name,
            created_at,
            archived_at,
            status: if archived_at.is_none() {
                ProjectStatus::Active
            } else {
                ProjectStatus::Archived
            },
            external_key_id: row.get("external_key_id")?,
            residency: row.get("residency")?,
        })
    }
}

list_item!(Project, id);

impl<'a> From<&'a Project> for ProjectRef<'a> {
    fn from(project: &'a Project) -> Self {
        Self {
            id: &project.id,
            name: &project.name,
        }
    }
}

impl Scope for Project {
    async fn resolve(path: &mut ResourcePath<'_>) -> Result<Self> {
        let id: ProjectId = path.take()?;
        let mut one = sql!(COLUMNS_FROM, path.organization());
        one.push(" AND id = ").bind(&id);
        path.find(&id, one, Self::read).await
    }

    fn project(&self) -> Option<ProjectRef<'_>> {
        Some(self.into())
    }
}

impl Scope for ActiveProject {
    async fn resolve(path: &mut ResourcePath<'_>) -> Result<Self> {
        let project = Project::resolve(path).await?;
        if project.archived_at.is_some() {
            let message = format!(
                "The project '{}' is archived: it cannot be used or changed any more.",
                project.id
            );
            return Err(Error::refused(PROJECT_ARCHIVED, message));
        }
        Ok(Self(project))
    }

    fn project(&self) -> Option<ProjectRef<'_>> {
        Some((&self.0).into())
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListProjects {
    /// Only projects with one of these ids.
    #[serde(default)]
    #[schemars(extend("x-orgplane" = true))]
    ids: Separated<String>,
    /// True to include archived projects.
    #[serde(default)]
    include_archived: bool,
    /// Only projects whose name contains this text, in any case.
    search: Option<Search>,
    /// Maximum number of items on the page.
    #[serde(default)]
    limit: Limit<20, 1, 100>,
    /// The id of the last project of the previous page.
    after: Option<String>,
}

async fn list(mut cx: Read, _: Organization, query: ListProjects) -> Result<List<Project>> {
    let whole = tenant_sql!(cx, COLUMNS_FROM, args![]);
    let mut list = whole.clone();
    if !query.include_archived {
        list.push(" AND archived_at IS NULL");
    }
    if !query.ids.is_empty() {
        list.push(" AND id IN ").bind_list(query.ids);
    }
    if let Some(search) = query.search {
        search.within(&mut list, &["name"]);
    }
    let request = oldest_first(query.limit.0, query.after);
    cx.list(&request, list, whole, "id", Project::read).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-at-most-one-of" = ["residency", "geography"]))]
struct CreateProject {
    name: Name,
    /// Id of a customer-managed key.
    #[schemars(length(min = 1, max = MAX_ID_LENGTH), regex(pattern = VISIBLE))]
    external_key_id: Option<String>,
    /// Region of the data. Excludes `geography`.
    residency: Option<Residency>,
    /// Older form of `residency`.
    geography: Option<Name>,
}

async fn create(mut cx: Write, _: Organization, body: CreateProject) -> Result<Done<Project>> {
    if body.residency.is_some() && body.geography.is_some() {
        return Err(Error::invalid(
            "geography",
            "Give either residency or geography, not both.",
        ));
    }
    let project = Project {
        object: ProjectObject,
        id: cx.new_id(),
        name: body.name.into_string(),
        created_at: cx.now(),
        archived_at: None,
        status: ProjectStatus::Active,
        external_key_id: bounded("external_key_id", body.external_key_id)?,
        residency: body.residency.and_then(Residency::name),
    };
    let insert = tenant_sql!(
        cx,
        "INSERT INTO projects (organization_id, id, name, external_key_id, residency, geography, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        args![
            &project.id,
            project.name.as_str(),
            project.external_key_id.clone(),
            project.residency.clone(),
            body.geography.map(Name::into_string),
            project.created_at
        ],
    );
    cx.execute(insert).await?;
    cx.in_project(Some((project.id.clone(), project.name.clone())));
    let details = json!({"data": {"name": project.name, "title": project.name}});
    Ok(cx.done(
        Event::new(EventType::ProjectCreated, &project.id, details),
        project,
    ))
}

fn bounded(param: &str, text: Option<String>) -> Result<Option<String>> {
    let is_bounded = |text: &String| {
        !text.trim().is_empty()
            && text.chars().count() <= MAX_ID_LENGTH
            && !text.chars().any(char::is_control)
    };
    if text.as_ref().is_none_or(is_bounded) {
        return Ok(text);
    }
    let message = format!(
        "{param} must have 1 to {MAX_ID_LENGTH} characters, none of them control characters."
    );
    Err(Error::invalid(param, message))
}

async fn retrieve(_: Read, project: Project, _: NoParameters) -> Result<Project> {
    Ok(project)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct UpdateProject {
    /// New name; null leaves the name unchanged.
    name: Option<Name>,
    /// Id of a customer-managed key; null clears it.
    #[serde(default)]
    #[schemars(length(min = 1, max = MAX_ID_LENGTH), regex(pattern = VISIBLE))]
    external_key_id: Patch<String>,
    /// Older form of residency; null leaves it unchanged.
    geography: Option<Name>,
}

async fn update(
    mut cx: Write,
    ActiveProject(mut project): ActiveProject,
    body: UpdateProject,
) -> Result<Done<Project>> {
    let is_empty =
        body.name.is_none() && body.geography.is_none() && body.external_key_id == Patch::Keep;
    if is_empty {
        return Ok(cx.unchanged(project));
    }
    refuse_default(&cx, &project, "modified")?;
    let renamed = body.name.map(Name::into_string);
    project.name = renamed.clone().unwrap_or(project.name);
    let external = body.external_key_id.apply(project.external_key_id.take());
    project.external_key_id = bounded("external_key_id", external)?;
    let update = tenant_sql!(
        cx,
        "UPDATE projects SET name = $3, external_key_id = $4, geography = COALESCE($5, geography) \
         WHERE organization_id = $1 AND id = $2",
        args![
            &project.id,
            project.name.as_str(),
            project.external_key_id.clone(),
            body.geography.map(Name::into_string)
        ],
    );
    cx.execute(update).await?;
    cx.in_project(Some((project.id.clone(), project.name.clone())));
    let requested = renamed.map_or_else(|| json!({}), |name| json!({"title": name}));
    let details = json!({"changes_requested": requested});
    Ok(cx.done(
        Event::new(EventType::ProjectUpdated, &project.id, details),
        project,
    ))
}

fn refuse_default(cx: &Write, project: &Project, verb: &str) -> Result<()> {
    if cx.default_project() == Some(&project.id) {
        return Err(Error::refused(
            "default_project",
            format!("The default project cannot be {verb}."),
        ));
    }
    Ok(())
}

/// Statements that delete all settings of the project `$2`.
const DELETE_SETTINGS: [TenantSql; ENFORCED.len()] = {
    let mut all = [TenantSql::new(ENFORCED[0].delete); ENFORCED.len()];
    let mut index = 1;
    while index < all.len() {
        all[index] = TenantSql::new(ENFORCED[index].delete);
        index += 1;
    }
    all
};

/// Archives the project and deletes its keys, service accounts, memberships, roles, spend alerts and settings.
async fn archive(
    mut cx: Write,
    ActiveProject(mut project): ActiveProject,
    _: NoParameters,
) -> Result<Done<Project>> {
    refuse_default(&cx, &project, "archived")?;
    let of_project = [
        tenant_sql!("DELETE FROM spend_alerts WHERE organization_id = $1 AND project_id = $2"),
        tenant_sql!("DELETE FROM api_keys WHERE organization_id = $1 AND project_id = $2"),
        tenant_sql!("DELETE FROM service_accounts WHERE organization_id = $1 AND project_id = $2"),
        tenant_sql!("DELETE FROM project_users WHERE organization_id = $1 AND project_id = $2"),
        tenant_sql!("DELETE FROM project_groups WHERE organization_id = $1 AND project_id = $2"),
        tenant_sql!("DELETE FROM role_assignments WHERE organization_id = $1 AND project_id = $2"),
        tenant_sql!("DELETE FROM roles WHERE organization_id = $1 AND project_id = $2"),
    ];
    for text in of_project.into_iter().chain(DELETE_SETTINGS) {
        let delete = cx.sql(text, args![&project.id]);
        cx.execute(delete).await?;
    }
    let now = cx.now();
    let update =
        tenant_sql!("UPDATE projects SET archived_at = $3 WHERE organization_id = $1 AND id = $2");
    let update = cx.sql(update, args![&project.id, now]);
    cx.execute(update).await?;
    project.archived_at = Some(now);
    project.status = ProjectStatus::Archived;
    Ok(cx.done(
        Event::new(EventType::ProjectArchived, &project.id, json!({})),
        project,
    ))
}
