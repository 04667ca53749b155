//! Screens with code of their own.

pub(crate) mod me;
pub(crate) mod reasons;
pub(crate) mod role_permissions;
pub(crate) mod search;

use std::pin::Pin;

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
    ("/console/me", |context| Box::pin(me::account(context))),
    ("/console/me/preferences", |context| {
        Box::pin(me::preferences(context))
    }),
];

/// Leads to the first screen.
async fn start(_: &Context<'_>) -> Outcome {
    Ok(redirect(&Link::new(["console", "projects"]), []))
}
