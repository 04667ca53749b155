//! Query strings of requests that have no parameters.

use base::{Error, Result};

/// Refuses any query: a parameter that is ignored would be taken for one that works, and an upstream could read it as a request
/// for something else than was checked.
///
/// # Errors
/// 400 naming the parameter.
pub(crate) fn no_query(query: Option<&str>) -> Result<()> {
    let Some(query) = query.filter(|query| !query.is_empty()) else {
        return Ok(());
    };
    let name = query.split(['=', '&']).next().unwrap_or_default();
    let name = base::shown(name);
    let message = format!("{name} is not a parameter of this endpoint; it has none.");
    Err(Error::invalid(name, message))
}
