//! The command of the command line that answers the same question as a report.

use crate::command::quoted;
use crate::report::period::Bucket;
use crate::report::state::ReportState;

/// Returns the command that answers the same question.
pub(super) fn command(state: &ReportState) -> String {
    let name = if state.kind.is_cost() {
        "costs".to_owned()
    } else {
        state.kind.name.replace('_', "-")
    };
    let mut words = format!("orgplane admin:organization:usage {name}");
    let queries = state.period.queries(!state.kind.is_cost());
    let width = queries.first().map_or(Bucket::Day, |query| query.width);
    let (start, end) = (state.period.start().0, state.period.end().0);
    words += &format!(" --start-time {start} --end-time {end}");
    if !state.kind.is_cost() {
        words += &format!(" --bucket-width {}", width.as_str());
    }
    for group in &state.groups {
        words += &format!(" --group-by {}", group.as_str());
    }
    for (name, value) in state.filter_parameters() {
        let flag = name.trim_end_matches('s').replace('_', "-");
        words += &format!(" --{flag} {}", quoted(&value));
    }
    words
}
