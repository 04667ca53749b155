//! The words of the domain: ids, permissions, errors, time, money. No I/O, no async.

pub mod budget;
pub mod email;
mod entropy;
pub mod error;
pub mod ids;
pub mod money;
pub mod name;
mod names;
pub mod permission;
mod seal;
pub mod secret;
pub mod time;

pub use budget::{Budget, BudgetLimits, BudgetPermit, Exhausted};
pub use entropy::Entropy;
pub use error::{Error, Result};
pub use money::NanoDollars;
pub use permission::{Permission, PermissionSet};
pub use time::{Clock, UnixTime};
