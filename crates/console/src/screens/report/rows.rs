//! Links from a report to rows of the ledger.

use pages::Link;

use crate::report::state::ReportState;

/// Returns the address of the rows of the ledger in the period of a report.
pub(super) fn rows_link(state: &ReportState, restricting: &[(&str, &str)]) -> Link {
    let (start, end) = (state.period.start(), state.period.end());
    let mut link = Link::new(["console", "usage", "events"])
        .query("start_time", &start.0.to_string())
        .query("end_time", &end.0.to_string());
    if !state.kind.is_cost() {
        link = link.query("type", state.kind.name);
    }
    let is_row_filter = |name: &str| name != "line_items";
    for (name, value) in state.filter_parameters() {
        let is_replaced = restricting.iter().any(|(own, _)| *own == name);
        if !is_replaced && is_row_filter(&name) {
            link = link.query(&name, &value);
        }
    }
    let kept = restricting.iter().filter(|(name, _)| is_row_filter(name));
    link.queries(kept.copied())
}
