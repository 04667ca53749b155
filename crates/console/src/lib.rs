//! The console: pages for people who administer an organization, or use it.
//!
//! The console is a client of the Administration API in the same process: each page reads and changes through
//! [`admin::operations`], as the person who is signed in, so that permissions, audit events and refusals are those of the
//! API. Most pages are made from a descriptor of a resource (`resources`) and the schemas of its operations; `screens` has
//! the others. The address of a page is the path of its operation, below `/console` instead of `/v1/organization`.

mod cell;
mod client;
mod command;
mod context;
mod delete;
mod detail;
mod edit;
mod failure;
mod form;
mod gateway_facts;
mod list;
mod navigation;
mod options;
mod parts;
mod picker;
mod provider_checks;
mod registry;
mod report;
mod resource;
mod resources;
mod rights;
mod route;
mod sample;
mod schema;
mod screens;
mod table;
mod unreachable;
mod visitor;

use std::sync::Arc;

use admin::Services;
use admin::operation::Caller;
use axum::body::Body;
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use pages::form::MAX_FORM_BYTES;
use pages::origin::is_same_origin;
use pages::{FormData, Preferences, read_form};
use store::sql;

use client::Refusal;
use context::{Context, Outcome, PageProject, notice_of};
use parts::ConsoleParts;
use registry::Registry;
use rights::Rights;
use route::{PageKind, Route};

pub use gateway_facts::{GatewayFacts, UpstreamFacts};
pub use options::{ConsoleOptions, IdentityProviderFacts};
pub use provider_checks::{ProviderChecks, ProviderStep, ProviderSteps};
pub use unreachable::{operations_elsewhere, unreachable_operations};
pub use visitor::Visitor;

/// The path that all pages of the console lie below.
pub const CONSOLE_PATH: &str = "/console";

/// The console.
pub struct Console {
    parts: ConsoleParts,
    routes: Vec<Route>,
}

impl Console {
    /// Creates the console.
    #[must_use]
    pub fn new(
        services: Arc<Services>,
        gateway: Arc<dyn GatewayFacts>,
        provider_checks: Arc<dyn ProviderChecks>,
        options: ConsoleOptions,
    ) -> Self {
        let registry = Registry::new();
        let routes = route::routes(&registry);
        let parts = ConsoleParts {
            services,
            gateway,
            provider_checks,
            options,
            registry,
        };
        Self { parts, routes }
    }

    /// Answers a request of a person who has signed in.
    pub async fn answer(&self, visitor: &Visitor, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let response = self.uncompressed(visitor, &parts, body).await;
        pages::compress(&parts.method, &parts.headers, response).await
    }

    async fn uncompressed(&self, visitor: &Visitor, parts: &Parts, body: Body) -> Response<Body> {
        let preferences = Preferences::of(&parts.headers);
        if !is_same_origin(
            &parts.method,
            &parts.headers,
            &self.parts.options.public_url,
        ) {
            return failure::cross_site(&preferences);
        }
        let form = match parts.method {
            Method::GET | Method::HEAD => FormData::default(),
            Method::POST => match read_form(&parts.headers, body, MAX_FORM_BYTES).await {
                Ok(form) => form,
                Err(error) => return failure::bad_form(&preferences, error),
            },
            _ => return failure::method_not_allowed(&preferences),
        };
        let mut context = match self.context(visitor, parts, form, preferences).await {
            Ok(context) => context,
            Err(refusal) => return failure::without_context(parts, &refusal),
        };
        let outcome = self.page(&mut context).await;
        match outcome {
            Ok(response) => response,
            Err(refusal) => failure::answer(&context, &refusal),
        }
    }

    /// Creates the context of a page: the rights of the visitor, and the project that the page is about.
    async fn context<'a>(
        &'a self,
        visitor: &'a Visitor,
        parts: &Parts,
        form: FormData,
        preferences: Preferences,
    ) -> Result<Context<'a>, Refusal> {
        let path = parts.uri.path().to_owned();
        let query = FormData::of_query(parts.uri.query());
        let parameters = route::find(&self.routes, &path)
            .map(|(_, parameters)| parameters)
            .unwrap_or_default();
        let named = parameters.iter().find(|(name, _)| name == "project_id");
        let project_id = named.map(|(_, id)| id.as_str());
        let project_id =
            project_id.or_else(|| query.text("project_id").filter(|_| is_helper(&path)));
        let project_id = project_id.map(str::to_owned);
        let caller = &visitor.caller;
        let rights =
            Rights::read(&self.parts.services.store, caller, project_id.as_deref()).await?;
        let mut context = Context {
            console: &self.parts,
            visitor,
            method: match parts.method {
                Method::HEAD => Method::GET,
                ref other => other.clone(),
            },
            path,
            query,
            form,
            preferences,
            rights,
            parameters,
            project: None,
            organization: self.organization_name(caller).await?,
            headers: parts.headers.clone(),
            extensions: parts.extensions.clone(),
            notice: notice_of(&parts.headers),
        };
        if let Some(id) = project_id {
            context.project = Some(project(&context, id).await?);
            if is_helper(&context.path) {
                let id = context.project.as_ref().map(|project| project.id.clone());
                let pair = id.map(|id| ("project_id".to_owned(), id));
                context.parameters.extend(pair);
            }
        }
        Ok(context)
    }

    async fn organization_name(&self, caller: &Caller) -> Result<String, Refusal> {
        let statement = sql!(
            "SELECT name FROM organizations WHERE id = $1",
            &caller.organization.id
        );
        let mut connection = self
            .parts
            .services
            .store
            .read()
            .await
            .map_err(base::Error::from)?;
        let name = connection.fetch_optional(statement, |row| row.get::<String>("name"));
        let name = name.await.map_err(base::Error::from)?;
        Ok(name.unwrap_or_default())
    }

    async fn page(&self, context: &mut Context<'_>) -> Outcome {
        let Some((route, _)) = route::find(&self.routes, &context.path) else {
            return Err(Refusal::not_found("page", &context.path));
        };
        let context = &*context;
        match &route.page {
            PageKind::List(resource) => list::answer(context, resource).await,
            PageKind::Detail(resource) => Box::pin(detail::answer(context, resource)).await,
            PageKind::Create(resource) => Box::pin(edit::create(context, resource)).await,
            PageKind::Update(resource) => Box::pin(edit::update(context, resource)).await,
            PageKind::Setting(resource) => Box::pin(edit::setting(context, resource)).await,
            PageKind::Delete(resource) => Box::pin(delete::answer(context, resource)).await,
            PageKind::Action(resource, action) => {
                Box::pin(edit::action(context, resource, action)).await
            }
            PageKind::Screen(screen) => screen(context).await,
        }
    }
}

/// True if a path answers scripts of other pages, and so names the project of the page in its query.
fn is_helper(path: &str) -> bool {
    path == "/console/pick"
}

/// Returns the project of a page. Who may not read the project gets its id as the name, since other pages of the project
/// may be allowed.
///
/// # Errors
/// 404 if the project does not exist; failures of the server.
async fn project(context: &Context<'_>, id: String) -> Result<PageProject, Refusal> {
    let path = pages::Link::new(["organization", "projects", &id]);
    match context.get(path.path(), &[]).await {
        Ok(project) => Ok(PageProject {
            name: project["name"].as_str().unwrap_or(&id).to_owned(),
            is_archived: project["status"] == "archived",
            id,
        }),
        Err(refusal) if refusal.status == StatusCode::FORBIDDEN => Ok(PageProject {
            name: id.clone(),
            is_archived: false,
            id,
        }),
        Err(refusal) => Err(refusal),
    }
}
