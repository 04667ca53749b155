//! Screens with code of their own.

pub(crate) mod catalogue;
pub(crate) mod holders;
pub(crate) mod identity_providers;
pub(crate) mod limits_now;
pub(crate) mod me;
pub(crate) mod my_usage;
pub(crate) mod reasons;
pub(crate) mod role_permissions;
pub(crate) mod search;

use std::pin::Pin;

use http::Method;
use pages::{Link, redirect};

use crate::context::{Context, Outcome};
use crate::picker;

/// A screen: answers every request to its path.
pub(crate) type Screen =
    for<'a> fn(&'a Context<'a>) -> Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

/// Screens by path template.
pub(crate) const SCREENS: &[(&str, Screen)] = &[
    ("/console", |context| Box::pin(start(context))),
    ("/console/pick", |context| Box::pin(picker::answer(context))),
    ("/console/search", |context| {
        Box::pin(search::answer(context))
    }),
    ("/console/catalogue", |context| {
        Box::pin(catalogue::answer(context))
    }),
    ("/console/identity_providers", |context| {
        Box::pin(identity_providers::answer(context))
    }),
    ("/console/me", |context| Box::pin(me::account(context))),
    ("/console/me/usage", |context| {
        Box::pin(my_usage::answer(context))
    }),
    ("/console/me/preferences", |context| {
        Box::pin(me::preferences(context))
    }),
];

/// Leads to the first screen: the projects, or the account of a visitor who may not list them.
async fn start(context: &Context<'_>) -> Outcome {
    let projects = "/organization/projects";
    let screen = match context.missing(&Method::GET, projects) {
        None => "projects",
        Some(_) => "me",
    };
    Ok(redirect(&Link::new(["console", screen]), []))
}
