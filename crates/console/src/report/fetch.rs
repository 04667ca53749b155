//! Reading a report through the Administration API, page by page.

use super::matrix::Matrix;
use super::page::ReportPage;
use super::period::Period;
use super::state::ReportState;
use crate::client::Refusal;
use crate::context::Context;

/// Maximum number of pages of a report: a year of hours.
const MAX_PAGES: usize = 60;

/// Reads the figures of a state in a period, which is that of the state or the one before.
///
/// # Errors
/// The refusal of the operation.
pub(crate) async fn fetch(
    context: &Context<'_>,
    state: &ReportState,
    period: &Period,
) -> Result<Matrix, Refusal> {
    let mut matrix = Matrix::new(state.kind, &state.groups);
    let client = context.client();
    for query in period.queries(!state.kind.is_cost()) {
        let parameters = state.parameters(query);
        let mut next: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let pairs = parameters
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()));
            let page = next.as_deref().map(|page| ("page", page));
            let pairs: Vec<(&str, &str)> = pairs.chain(page).collect();
            let bytes = client.bytes(state.kind.path, &pairs).await?;
            let page: ReportPage<'_> =
                serde_json::from_slice(&bytes).map_err(|_| Refusal::broken())?;
            matrix.add(period, query, &page);
            next = page.next_page;
            if next.is_none() {
                break;
            }
        }
    }
    Ok(matrix)
}
