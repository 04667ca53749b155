//! The state of a report's page, which is the query of its address.

use base::UnixTime;
use pages::{FormData, Link, Zone};

use super::kind::{Group, ReportKind};
use super::period::{Period, PeriodWords, Preset, ReportQuery};

/// Maximum number of dimensions that a report is grouped by.
pub(crate) const MAX_GROUPS: usize = 2;
/// Maximum number of values of a filter.
const MAX_FILTER_VALUES: usize = 50;

/// The state of a report's page.
#[derive(Clone, Debug)]
pub(crate) struct ReportState {
    /// Report.
    pub(crate) kind: &'static ReportKind,
    /// Period.
    pub(crate) period: Period,
    /// Dimensions to group by, at most [`MAX_GROUPS`]; none for the sum of everything.
    pub(crate) groups: Vec<Group>,
    /// Values that restrict the report.
    pub(crate) filters: Vec<(Group, Vec<String>)>,
    /// Position of the metric that the chart shows.
    pub(crate) metric: usize,
    /// True if the period before is shown, too.
    pub(crate) compares: bool,
    /// Values of the fields for free times.
    pub(crate) times: (String, String),
    /// Width that the query names; empty for the fitting one.
    pub(crate) bucket: String,
}

impl ReportState {
    /// Reads the state from a query. Words that the report does not know are ignored.
    pub(crate) fn read(
        kind: &'static ReportKind,
        query: &FormData,
        now: UnixTime,
        zone: &Zone,
    ) -> Self {
        let text = |name| query.text(name).unwrap_or_default();
        let words = PeriodWords {
            range: text("range"),
            from: text("from"),
            to: text("to"),
            bucket: if kind.is_cost() { "1d" } else { text("bucket") },
        };
        let mut groups = Vec::new();
        for group in query.all("group").filter_map(Group::parse) {
            if kind.groups.contains(&group) && !groups.contains(&group) && groups.len() < MAX_GROUPS
            {
                groups.push(group);
            }
        }
        if !query.has("group") {
            groups.push(kind.default_group());
        }
        let filters = kind.groups.iter().filter_map(|group| {
            let values = query.all(group.filter()?).map(str::trim);
            let values: Vec<String> = values
                .filter(|value| !value.is_empty())
                .take(MAX_FILTER_VALUES)
                .map(str::to_owned)
                .collect();
            (!values.is_empty()).then_some((*group, values))
        });
        let named = kind
            .metrics
            .iter()
            .position(|metric| metric.name == text("metric"));
        Self {
            kind,
            period: Period::read(&words, now, zone),
            groups,
            filters: filters.collect(),
            metric: named.unwrap_or(0),
            compares: query.has("compare"),
            times: (words.from.to_owned(), words.to.to_owned()),
            bucket: words.bucket.to_owned(),
        }
    }

    /// Returns the query of the state's address.
    pub(crate) fn pairs(&self) -> Vec<(String, String)> {
        let mut pairs = vec![("range".to_owned(), self.period.preset.as_str().to_owned())];
        let mut push = |name: &str, value: &str| pairs.push((name.to_owned(), value.to_owned()));
        if self.period.preset == Preset::Custom {
            push("from", &self.times.0);
            push("to", &self.times.1);
        }
        if !self.bucket.is_empty() && !self.kind.is_cost() {
            push("bucket", &self.bucket);
        }
        if self.groups.is_empty() {
            push("group", "");
        }
        for group in &self.groups {
            push("group", group.as_str());
        }
        for (group, values) in &self.filters {
            for value in values {
                push(group.filter().unwrap_or_default(), value);
            }
        }
        if self.metric > 0 {
            push("metric", self.kind.metrics[self.metric].name);
        }
        if self.compares {
            push("compare", "1");
        }
        pairs
    }

    /// Returns the address of the state on a page.
    pub(crate) fn link(&self, page: Link) -> Link {
        let pairs = self.pairs();
        page.queries(
            pairs
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
        )
    }

    /// Returns the state of another report for the same period and the same filters, as far as that report has them.
    pub(crate) fn of_kind(&self, kind: &'static ReportKind) -> Self {
        let has = |group: &Group| kind.groups.contains(group);
        let mut groups: Vec<Group> = self.groups.iter().copied().filter(has).collect();
        if groups.is_empty() && !self.groups.is_empty() {
            groups.push(kind.default_group());
        }
        let filters = self.filters.iter().filter(|(group, _)| has(group)).cloned();
        Self {
            kind,
            groups,
            filters: filters.collect(),
            metric: 0,
            ..self.clone()
        }
    }

    /// Returns the state that is restricted to one value of a dimension.
    pub(crate) fn only(&self, group: Group, value: &str) -> Self {
        let mut state = self.clone();
        state.filters.retain(|(own, _)| *own != group);
        state.filters.push((group, vec![value.to_owned()]));
        state
    }

    /// Returns the dimensions that the operation is asked for: a key's name is found in its project.
    pub(crate) fn asked_groups(&self) -> Vec<Group> {
        let mut asked = self.groups.clone();
        let needs_project = asked.contains(&Group::Key) && !asked.contains(&Group::Project);
        if needs_project && self.kind.groups.contains(&Group::Project) {
            asked.push(Group::Project);
        }
        asked
    }

    /// Returns the parameters of the operation for a query, without those that select a page.
    pub(crate) fn parameters(&self, query: ReportQuery) -> Vec<(String, String)> {
        let mut parameters = vec![
            ("start_time".to_owned(), query.start.0.to_string()),
            ("end_time".to_owned(), query.end.0.to_string()),
            ("bucket_width".to_owned(), query.width.as_str().to_owned()),
        ];
        let limit = query.page_limit(self.kind.is_cost());
        parameters.push(("limit".to_owned(), limit.to_string()));
        for group in self.asked_groups() {
            parameters.push(("group_by".to_owned(), group.as_str().to_owned()));
        }
        parameters.extend(self.filter_parameters());
        parameters
    }

    /// Returns the parameters of the filters.
    pub(crate) fn filter_parameters(&self) -> Vec<(String, String)> {
        let filters = self.filters.iter().flat_map(|(group, values)| {
            let name = group.filter().unwrap_or_default();
            values
                .iter()
                .map(move |value| (name.to_owned(), value.clone()))
        });
        filters.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::kind::COSTS;

    const NOW: UnixTime = UnixTime(1_796_115_900);

    fn read(kind: &'static ReportKind, query: &str) -> ReportState {
        ReportState::read(
            kind,
            &FormData::of_query(Some(query)),
            NOW,
            &Zone::default(),
        )
    }

    fn completions(query: &str) -> ReportState {
        read(ReportKind::find("completions").expect("a report"), query)
    }

    #[test]
    fn an_address_names_its_state() {
        for query in [
            "range=30d&group=model",
            "range=7d&bucket=1h&group=project_id&group=model&project_ids=proj_1&project_ids=proj_2&metric=input_tokens&compare=1",
            "range=custom&from=2026-11-01T00%3A00&to=2026-11-02T00%3A00&group=model",
            "range=24h&group=&models=a%2Cb",
        ] {
            let state = completions(query);
            assert_eq!(
                state.link(Link::new(["x"])).to_string(),
                format!("/x?{query}")
            );
        }
    }

    #[test]
    fn unknown_and_superfluous_words_are_ignored() {
        let state = completions(
            "range=x&bucket=y&group=size&group=model&group=user_id&group=project_id&metric=z",
        );
        assert_eq!(state.groups, [Group::Model, Group::User]);
        assert_eq!((state.period.preset, state.metric), (Preset::Days30, 0));
        assert_eq!(completions("").groups, [Group::Model]);
        assert_eq!(completions("group=").groups, []);
        let many: String = (0..200).map(|index| format!("&models=m{index}")).collect();
        assert_eq!(completions(&many).filters[0].1.len(), MAX_FILTER_VALUES);
    }

    #[test]
    fn another_report_keeps_the_filters_that_it_has() {
        let state = completions("group=batch&project_ids=p&models=m&metric=output_tokens");
        let stores = state.of_kind(ReportKind::find("vector_stores").expect("a report"));
        assert_eq!(stores.groups, [Group::Project]);
        assert_eq!(stores.filters, [(Group::Project, vec!["p".to_owned()])]);
        assert_eq!(stores.metric, 0);
    }

    #[test]
    fn costs_are_asked_for_by_day_and_keys_with_their_projects() {
        let state = read(&COSTS, "range=24h&bucket=1h&group=api_key_id");
        assert_eq!(state.asked_groups(), [Group::Key, Group::Project]);
        let queries = state.period.queries(false);
        let parameters = state.parameters(queries[0]);
        let get = |name: &str| {
            let found = parameters.iter().find(|(own, _)| own == name);
            found.map(|(_, value)| value.as_str())
        };
        assert_eq!(
            (get("bucket_width"), get("limit")),
            (Some("1d"), Some("180"))
        );
    }
}
