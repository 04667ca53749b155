//! Screens with code of their own.

pub(crate) mod audit_logs;
pub(crate) mod catalogue;
pub(crate) mod holders;
pub(crate) mod home;
pub(crate) mod identity_providers;
pub(crate) mod ledger_rows;
pub(crate) mod limits_now;
pub(crate) mod me;
pub(crate) mod my_usage;
pub(crate) mod reasons;
pub(crate) mod refusals;
pub(crate) mod report;
pub(crate) mod role_permissions;
pub(crate) mod search;
pub(crate) mod spend;
pub(crate) mod spending;

use std::pin::Pin;

use crate::context::{Context, Outcome};
use crate::picker;

/// A screen: answers every request to its path.
pub(crate) type Screen =
    for<'a> fn(&'a Context<'a>) -> Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

/// Screens by path template.
pub(crate) const SCREENS: &[(&str, Screen)] = &[
    ("/console", |context| Box::pin(home::show(context))),
    ("/console/audit_logs", |context| {
        Box::pin(audit_logs::show(context))
    }),
    ("/console/costs", |context| Box::pin(report::costs(context))),
    ("/console/spend", |context| Box::pin(spend::show(context))),
    ("/console/usage/events", |context| {
        Box::pin(ledger_rows::show(context))
    }),
    ("/console/usage/refusals", |context| {
        Box::pin(refusals::show(context))
    }),
    ("/console/usage/{report}", |context| {
        Box::pin(report::usage(context))
    }),
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
