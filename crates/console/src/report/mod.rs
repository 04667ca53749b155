//! Reports of usage and costs: period, figures, tables for charts.

pub(crate) mod export;
pub(crate) mod fetch;
pub(crate) mod kind;
pub(crate) mod matrix;
pub(crate) mod names;
pub(crate) mod page;
pub(crate) mod period;
pub(crate) mod state;
pub(crate) mod table;
