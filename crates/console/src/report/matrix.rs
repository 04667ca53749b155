//! The figures of a report: buckets by groups, with sums. Missing is not zero: a cell is there if something was recorded.

use std::collections::HashMap;

use super::kind::{Group, ReportKind};
use super::page::{ReportPage, ReportRow};
use super::period::{Period, ReportQuery};

/// Values of the dimensions that a report is grouped by; `None` for usage without a value.
pub(crate) type GroupKey = Vec<Option<String>>;

/// Figures of a report.
#[derive(Debug)]
pub(crate) struct Matrix {
    kind: &'static ReportKind,
    dimensions: Vec<Group>,
    /// Groups, largest first once sorted.
    groups: Vec<GroupKey>,
    positions: HashMap<GroupKey, usize>,
    /// Numbers by bucket and group; `None` for a metric that was never reported.
    cells: HashMap<(usize, usize), Vec<Option<i64>>>,
    /// Projects of keys, as far as results have both.
    key_projects: HashMap<String, String>,
}

impl Matrix {
    /// Returns an empty matrix.
    pub(crate) fn new(kind: &'static ReportKind, dimensions: &[Group]) -> Self {
        Self {
            kind,
            dimensions: dimensions.to_vec(),
            groups: Vec::new(),
            positions: HashMap::new(),
            cells: HashMap::new(),
            key_projects: HashMap::new(),
        }
    }

    /// Adds a page that a query was answered with.
    pub(crate) fn add(&mut self, period: &Period, query: ReportQuery, page: &ReportPage<'_>) {
        for bucket in &page.data {
            let segment = query.segment.or_else(|| period.position(bucket.start()));
            let Some(segment) = segment else { continue };
            for row in &bucket.results {
                self.learn_project(row);
                let key = self.dimensions.iter().map(|dimension| {
                    let value = row.groups.iter().find(|(group, _)| group == dimension);
                    value.map(|(_, value)| value.clone().into_owned())
                });
                let group = self.position(key.collect());
                let metrics = self.kind.metrics;
                let cell = self.cells.entry((segment, group));
                let cell = cell.or_insert_with(|| vec![None; metrics.len()]);
                for (sum, metric) in cell.iter_mut().zip(metrics) {
                    let number = row.numbers.iter().find(|(name, _)| name == metric.name);
                    *sum = add(*sum, number.map(|(_, number)| *number));
                }
            }
        }
    }

    fn learn_project(&mut self, row: &ReportRow<'_>) {
        let value = |group: Group| {
            let found = row.groups.iter().find(|(own, _)| *own == group);
            found.map(|(_, value)| &**value)
        };
        if let (Some(key), Some(project)) = (value(Group::Key), value(Group::Project))
            && !self.key_projects.contains_key(key)
        {
            self.key_projects.insert(key.to_owned(), project.to_owned());
        }
    }

    /// Returns the projects of keys, as far as they are known.
    pub(crate) fn key_projects(&self) -> &HashMap<String, String> {
        &self.key_projects
    }

    fn position(&mut self, key: GroupKey) -> usize {
        if let Some(position) = self.positions.get(&key) {
            return *position;
        }
        let position = self.groups.len();
        self.groups.push(key.clone());
        self.positions.insert(key, position);
        position
    }

    /// Returns the groups, those with the largest sums of a metric first.
    pub(crate) fn ranking(&self, metric: usize) -> Vec<usize> {
        let mut sums = vec![0_i64; self.groups.len()];
        for ((_, group), cell) in &self.cells {
            sums[*group] = sums[*group].saturating_add(cell[metric].unwrap_or(0));
        }
        let mut order: Vec<usize> = (0..self.groups.len()).collect();
        order.sort_by(|a, b| {
            sums[*b]
                .cmp(&sums[*a])
                .then_with(|| self.groups[*a].cmp(&self.groups[*b]))
        });
        order
    }

    /// Returns the dimensions.
    pub(crate) fn dimensions(&self) -> &[Group] {
        &self.dimensions
    }

    /// Returns the values of a group.
    pub(crate) fn group(&self, position: usize) -> &[Option<String>] {
        &self.groups[position]
    }

    /// Returns the number of groups.
    pub(crate) fn len(&self) -> usize {
        self.groups.len()
    }

    /// True if nothing was recorded.
    pub(crate) fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// Returns the numbers of a group in a bucket; `None` if nothing was recorded.
    pub(crate) fn cell(&self, segment: usize, group: usize) -> Option<&[Option<i64>]> {
        self.cells.get(&(segment, group)).map(Vec::as_slice)
    }

    /// Returns the sum of a metric over some groups in a bucket; `None` if nothing was recorded.
    pub(crate) fn sum_in(&self, segment: usize, groups: &[usize], metric: usize) -> Option<i64> {
        let cells = groups.iter().filter_map(|group| self.cell(segment, *group));
        cells
            .filter_map(|cell| cell[metric])
            .reduce(i64::saturating_add)
    }

    /// Returns the sums of all metrics over all buckets of one group; `None` where nothing was recorded.
    pub(crate) fn sums_of(&self, key: &[Option<String>]) -> Vec<Option<i64>> {
        match self.positions.get(key) {
            Some(group) => self.sums(|position| position == *group),
            None => vec![None; self.kind.metrics.len()],
        }
    }

    /// Returns the sums of all metrics over everything; `None` where nothing was recorded.
    pub(crate) fn totals(&self) -> Vec<Option<i64>> {
        self.sums(|_| true)
    }

    fn sums(&self, counts: impl Fn(usize) -> bool) -> Vec<Option<i64>> {
        let mut sums = vec![None; self.kind.metrics.len()];
        for (_, cell) in self.cells.iter().filter(|((_, group), _)| counts(*group)) {
            for (sum, number) in sums.iter_mut().zip(cell) {
                *sum = add(*sum, *number);
            }
        }
        sums
    }
}

/// Adds numbers that may be missing; the sum is missing if both are.
pub(crate) fn add(sum: Option<i64>, number: Option<i64>) -> Option<i64> {
    match (sum, number) {
        (Some(sum), Some(number)) => Some(sum.saturating_add(number)),
        (sum, number) => sum.or(number),
    }
}

#[cfg(test)]
mod tests {
    use base::UnixTime;
    use base::time::SECONDS_PER_DAY;
    use pages::Zone;

    use super::*;
    use crate::report::kind::{COSTS, ReportKind};
    use crate::report::period::PeriodWords;

    /// 2026-12-01T00:00:00Z.
    const TODAY_SECONDS: i64 = 1_796_083_200;

    fn period(zone: &str) -> Period {
        let words = PeriodWords {
            range: "7d",
            ..PeriodWords::default()
        };
        let now = UnixTime(TODAY_SECONDS + 9 * 3600);
        Period::read(&words, now, &Zone::find(zone).expect("a zone"))
    }

    /// Returns a page with these results: times, models and requests.
    fn page(results: &[(i64, &str, i64)]) -> String {
        let buckets: Vec<String> = results
            .iter()
            .map(|(time, model, requests)| {
                format!(
                    r#"{{"start_time":{time},"results":[{{"num_model_requests":{requests},"input_tokens":2,"model":"{model}"}}]}}"#
                )
            })
            .collect();
        format!(r#"{{"data":[{}],"next_page":null}}"#, buckets.join(","))
    }

    fn matrix(period: &Period, text: &str) -> Matrix {
        let kind = ReportKind::find("completions").expect("a report");
        let mut matrix = Matrix::new(kind, &[Group::Model]);
        let query = period.queries(true)[0];
        matrix.add(period, query, &serde_json::from_str(text).expect("a page"));
        matrix
    }

    #[test]
    fn a_bucket_without_records_is_missing_and_a_recorded_zero_is_not() {
        let period = period("UTC");
        let text = page(&[
            (TODAY_SECONDS, "a", 5),
            (TODAY_SECONDS - SECONDS_PER_DAY, "a", 0),
            (TODAY_SECONDS, "b", 7),
        ]);
        let matrix = matrix(&period, &text);
        let order = matrix.ranking(0);
        assert_eq!(matrix.group(order[0]), [Some("b".to_owned())]);
        assert_eq!(matrix.sum_in(6, &order, 0), Some(12));
        assert_eq!(matrix.sum_in(5, &order, 0), Some(0));
        assert_eq!(matrix.sum_in(4, &order, 0), None);
        assert_eq!(matrix.totals(), [Some(12), Some(6), None, None]);
        assert_eq!(
            matrix.sums_of(&[Some("b".to_owned())]),
            [Some(7), Some(2), None, None]
        );
        assert_eq!(matrix.sums_of(&[None]), [None; 4]);
    }

    #[test]
    fn hours_are_summed_in_the_days_of_the_zone() {
        let period = period("America/New_York");
        // 03:00 UTC is still the evening of the day before, 05:00 UTC is midnight.
        let text = page(&[
            (TODAY_SECONDS + 3 * 3600, "a", 1),
            (TODAY_SECONDS + 4 * 3600, "a", 10),
            (TODAY_SECONDS + 5 * 3600, "a", 100),
        ]);
        let matrix = matrix(&period, &text);
        assert_eq!(matrix.cell(5, 0).and_then(|cell| cell[0]), Some(11));
        assert_eq!(matrix.cell(6, 0).and_then(|cell| cell[0]), Some(100));
    }

    #[test]
    fn the_result_of_a_query_for_one_day_belongs_to_that_day() {
        let period = period("Asia/Kolkata");
        let mut matrix = Matrix::new(&COSTS, &[Group::Project]);
        let query = period.queries(false)[2];
        let text = r#"{"data":[
            {"start_time":0,"results":[{"amount":{"value":0.5,"currency":"usd"},"project_id":"p"}]},
            {"start_time":86400,"results":[{"amount":{"value":0.25,"currency":"usd"},"project_id":"p"}]}],"next_page":null}"#;
        matrix.add(&period, query, &serde_json::from_str(text).expect("a page"));
        assert_eq!(matrix.cell(2, 0), Some(&[Some(750_000_000)][..]));
    }
}
