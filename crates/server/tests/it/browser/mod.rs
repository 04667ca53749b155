//! The console in a browser: Chromium, driven by the scenarios of `tests/browser`.

mod charts;
mod providers;
mod scenario;
