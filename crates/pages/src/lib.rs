//! HTML pages: layouts, components, assets, compression, security headers, forms, cookies, time zones and numbers for people.
//!
//! A crate that shows pages renders its content with a template of its own and hands it to a layout: [`Shell`] for pages
//! with navigation, [`Card`] for sign-in, [`ErrorPage`] for errors. Each layout becomes an [`Html`] response, which has
//! the security headers. Everything that a template prints is escaped, unless its type is a component of this crate.

pub mod asset;
mod compression;
pub mod cookie;
pub mod field;
pub mod form;
mod headers;
mod html;
mod layout;
mod link;
pub mod notice;
pub mod number;
pub mod origin;
mod preferences;
mod time;

pub use compression::compress;
pub use field::{Choice, Control, Field, InputKind};
pub use form::{FormData, FormError, read_form};
pub use html::{Html, redirect};
pub use layout::{Card, Crumb, ErrorPage, NavigationGroup, NavigationItem, Person, Shell};
pub use link::{Link, is_local_target};
pub use notice::{Notice, NoticeKind};
pub use preferences::{Preferences, THEME_COOKIE, TIME_ZONE_COOKIE, Theme};
pub use time::{Moment, Zone};

/// Languages and libraries of templates, for crates that render their own content.
pub use askama;
