//! The context of a page: the visitor, the request, and the Administration API.

use std::fmt::Display;
use std::sync::Arc;

use admin::Services;
use axum::body::Body;
use base::UnixTime;
use http::{Extensions, HeaderMap, Method, Response, StatusCode};
use pages::cookie::{SetCookie, cookie};
use pages::{
    Crumb, FormData, Html, Link, Notice, NoticeKind, Person, Preferences, Shell, redirect,
};
use serde_json::Value as Json;

use crate::cell::CellContext;
use crate::client::{Client, Refusal};
use crate::navigation::navigation;
use crate::parts::ConsoleParts;
use crate::registry::KnownOperation;
use crate::rights::Rights;
use crate::visitor::Visitor;

/// Name of the cookie with the outcome of the change before a redirect.
const NOTICE_COOKIE: &str = "orgplane-notice";
/// Age after which an outcome that no page has shown is forgotten, in seconds.
const NOTICE_AGE: i64 = 60;

/// The outcome of a page: a response, or the refusal of an operation that the page cannot be without.
pub(crate) type Outcome = Result<Response<Body>, Refusal>;

/// A change that was made, as the next page says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// An item was created or added.
    Created,
    /// Changes were saved.
    Saved,
    /// A form had no changes.
    Unchanged,
    /// An item was deleted or removed.
    Deleted,
    /// An action was done.
    Done,
}

impl Change {
    const ALL: [(Self, &'static str, &'static str); 5] = [
        (
            Self::Created,
            "created",
            "Created. It takes effect within a second.",
        ),
        (
            Self::Saved,
            "saved",
            "Saved. It takes effect within a second.",
        ),
        (Self::Unchanged, "unchanged", "Nothing was changed."),
        (
            Self::Deleted,
            "deleted",
            "Deleted. It takes effect within a second.",
        ),
        (Self::Done, "done", "Done. It takes effect within a second."),
    ];

    fn word(self) -> &'static str {
        let known = Self::ALL.iter().find(|(change, _, _)| *change == self);
        known.map_or("", |(_, word, _)| word)
    }

    fn notice(word: &str) -> Option<Notice> {
        let known = Self::ALL.iter().find(|(_, own, _)| *own == word);
        known.map(|(_, _, sentence)| Notice::success(*sentence))
    }
}

/// The project that a page is about.
#[derive(Clone, Debug)]
pub(crate) struct PageProject {
    /// Id.
    pub(crate) id: String,
    /// Name; the id if the visitor may not read the project.
    pub(crate) name: String,
    /// True if the project is archived.
    pub(crate) is_archived: bool,
}

/// The context of a page.
pub(crate) struct Context<'a> {
    /// Dependencies of the pages.
    pub(crate) console: &'a ConsoleParts,
    /// Person that the page is shown to.
    pub(crate) visitor: &'a Visitor,
    /// Method of the request.
    pub(crate) method: Method,
    /// Path of the request.
    pub(crate) path: String,
    /// Query of the request.
    pub(crate) query: FormData,
    /// Form in the body of the request.
    pub(crate) form: FormData,
    /// Preferences of the browser.
    pub(crate) preferences: Preferences,
    /// Rights of the visitor.
    pub(crate) rights: Rights,
    /// Values of the path's parameters, by name.
    pub(crate) parameters: Vec<(String, String)>,
    /// Project that the page is about.
    pub(crate) project: Option<PageProject>,
    /// Name of the organization.
    pub(crate) organization: String,
    /// Headers of the request.
    pub(crate) headers: HeaderMap,
    /// Extensions of the request.
    pub(crate) extensions: Extensions,
    /// Outcome of the change before a redirect.
    pub(crate) notice: Option<Notice>,
}

impl Context<'_> {
    /// Returns the services of the program.
    pub(crate) fn services(&self) -> &Arc<Services> {
        &self.console.services
    }

    /// Returns the present time.
    pub(crate) fn now(&self) -> UnixTime {
        self.services().clock.now()
    }

    /// Returns facts for cells.
    pub(crate) fn cells(&self) -> CellContext<'_> {
        CellContext {
            zone: &self.preferences.zone,
            now: self.now(),
        }
    }

    /// Returns the client of the Administration API.
    pub(crate) fn client(&self) -> Client<'_> {
        Client {
            services: self.services(),
            registry: &self.console.registry,
            caller: &self.visitor.caller,
            extensions: &self.extensions,
        }
    }

    /// Reads `GET path?query` of the Administration API.
    ///
    /// # Errors
    /// The refusal of the operation.
    pub(crate) async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Json, Refusal> {
        self.client().get(path, query).await
    }

    /// Returns the operation at a path template.
    pub(crate) fn operation(&self, method: &Method, path: &'static str) -> Option<&KnownOperation> {
        self.console.registry.find(method, path)
    }

    /// Returns the name of the permission that an operation needs and the visitor lacks.
    pub(crate) fn missing(&self, method: &Method, path: &'static str) -> Option<&'static str> {
        self.rights
            .missing(&self.operation(method, path)?.operation)
    }

    /// Returns the value of a parameter of the path; empty if there is none.
    pub(crate) fn parameter(&self, name: &str) -> &str {
        let found = self.parameters.iter().find(|(own, _)| own == name);
        found.map_or("", |(_, value)| value)
    }

    /// Fills the parameters of a path template with the values of the page's path, and then with `more`, in order.
    pub(crate) fn fill(&self, template: &str, more: &[&str]) -> String {
        let mut more = more.iter();
        let mut link = Link::default();
        for segment in template.split('/').filter(|segment| !segment.is_empty()) {
            let name = segment
                .strip_prefix('{')
                .and_then(|segment| segment.strip_suffix('}'));
            link = match name {
                None => link.segment(segment),
                Some(name) => match self.parameter(name) {
                    "" => link.segment(more.next().copied().unwrap_or_default()),
                    value => link.segment(value),
                },
            };
        }
        link.path().to_owned()
    }

    /// Renders a page around its content.
    pub(crate) fn page(&self, title: &str, trail: &[Crumb], content: &dyn Display) -> Html {
        self.page_with(title, trail, &[], content)
    }

    /// Renders a page with further scripts around its content.
    pub(crate) fn page_with(
        &self,
        title: &str,
        trail: &[Crumb],
        scripts: &[&str],
        content: &dyn Display,
    ) -> Html {
        let zone = &self.preferences.zone;
        let zone = if zone.is_utc() {
            "UTC".to_owned()
        } else {
            format!("{} ({})", zone.name(), zone.offset(self.now()))
        };
        let person = Person {
            name: self.visitor.display_name().to_owned(),
            email: self.visitor.email.clone(),
            role: self.visitor.role_title(),
        };
        let is_archived = self
            .project
            .as_ref()
            .is_some_and(|project| project.is_archived);
        let archived = is_archived.then(|| {
            let sentence = "This project is archived: nothing in it can be used or changed.";
            Notice::new(NoticeKind::Warning, sentence)
        });
        let shell = Shell {
            title,
            preferences: &self.preferences,
            organization: &self.organization,
            person: &person,
            navigation: &navigation(self),
            trail,
            notice: self.notice.as_ref().or(archived.as_ref()),
            zone: &zone,
            target: &self.target(),
            scripts,
            content,
        };
        let page = shell.render();
        match self.notice {
            Some(_) => page.cookie(&SetCookie::removal(NOTICE_COOKIE)),
            None => page,
        }
    }

    /// Returns path and query of the page, for links that lead back; only the path for the answer to a form.
    pub(crate) fn target(&self) -> String {
        let link = Link::to_path(self.path.clone());
        link.queries(self.query.pairs()).to_string()
    }

    /// Redirects to a page that says what was changed.
    pub(crate) fn changed(&self, target: &Link, change: Change) -> Response<Body> {
        let cookie = SetCookie::new(NOTICE_COOKIE, change.word()).max_age(NOTICE_AGE);
        redirect(target, [&cookie])
    }

    /// Returns the trail to the pages of the project, if the page is about one.
    pub(crate) fn trail(&self) -> Vec<Crumb> {
        let Some(project) = &self.project else {
            return Vec::new();
        };
        vec![
            Crumb {
                label: "Projects".to_owned(),
                link: Link::new(["console", "projects"]),
            },
            Crumb {
                label: project.name.clone(),
                link: Link::new(["console", "projects", &project.id]),
            },
        ]
    }

    /// Returns true if dangerous changes are allowed: the visitor has signed in lately.
    pub(crate) fn has_signed_in_lately(&self) -> bool {
        let until = self
            .visitor
            .authenticated_at
            .plus(self.console.options.recent_sign_in_seconds);
        until > self.now()
    }

    /// Redirects to the page that asks the visitor to sign in again, and leads back to this page.
    pub(crate) fn sign_in_again(&self) -> Response<Body> {
        let target = if self.method == Method::GET {
            self.target()
        } else {
            self.path.clone()
        };
        redirect(
            &Link::new(["sign-in", "again"]).query("target", &target),
            [],
        )
    }
}

/// Returns the outcome that the cookie of a request says.
pub(crate) fn notice_of(headers: &HeaderMap) -> Option<Notice> {
    cookie(headers, NOTICE_COOKIE).and_then(Change::notice)
}

/// Returns a page with a status.
pub(crate) fn with_status(page: Html, status: StatusCode) -> Response<Body> {
    page.status(status).into_response()
}
