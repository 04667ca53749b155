//! Vocabulary of the domain: ids, permissions, audit event types, errors, time, money, secrets. No I/O, no async.

pub mod budget;
mod coding;
pub mod email;
mod entropy;
pub mod error;
pub mod event_type;
pub mod ids;
mod inline_schema;
mod log_sampler;
mod model_kind;
pub mod money;
pub mod name;
mod names;
mod not_offered;
mod path_pattern;
pub mod permission;
mod seal;
pub mod secret;
mod shown;
mod text_mark;
pub mod time;

pub use budget::{Budget, BudgetLimits, BudgetPermit, Exhausted};
pub use coding::{Coding, MAX_ZSTD_WINDOW_LOG};
pub use entropy::Entropy;
pub use error::{Error, Result};
pub use event_type::{EventSubject, EventType};
pub use log_sampler::LogSampler;
pub use model_kind::ModelKind;
pub use money::NanoDollars;
pub use not_offered::{NOT_OFFERED, NotOffered};
pub use path_pattern::is_at_or_below;
pub use permission::{Permission, PermissionSet};
pub use shown::shown;
pub use text_mark::{BYTE_ORDER_MARK, text_without_mark, utf_8, without_mark};
pub use time::{Clock, UnixTime};
