//! The console in a browser: Chromium, driven by the scenarios of `tests/browser`.

mod changes;
mod charts;
mod every_page;
mod new_administrator;
mod providers;
mod reports;
mod scenario;
mod screenshots;
mod sign_in;
mod site;
