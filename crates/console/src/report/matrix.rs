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
    groups: Vec<GroupFigures>,
    /// Indices of groups by their values.
    positions: HashMap<GroupKey, usize>,
    /// The group that comes next, if buckets have their groups in the same order.
    expected: usize,
    /// Projects of keys, as far as results have both.
    key_projects: HashMap<String, String>,
}

/// The figures of a group: a row of numbers, one for each metric, for each bucket in which something was recorded. A number
/// is `None` for a metric that was not reported.
#[derive(Debug)]
struct GroupFigures {
    key: GroupKey,
    /// Indices of the buckets of the rows, ascending.
    buckets: Vec<usize>,
    numbers: Vec<Option<i64>>,
    sums: Vec<Option<i64>>,
}

impl GroupFigures {
    fn new(key: GroupKey, metrics: usize) -> Self {
        Self {
            key,
            buckets: Vec::new(),
            numbers: Vec::new(),
            sums: vec![None; metrics],
        }
    }

    /// Returns the row of a bucket; `None` if nothing was recorded in it.
    fn row(&self, bucket: usize) -> Option<&[Option<i64>]> {
        let place = self.buckets.binary_search(&bucket).ok()?;
        let metrics = self.sums.len();
        self.numbers.get(place * metrics..(place + 1) * metrics)
    }

    /// Adds numbers to the row of a bucket. Reports come in the order of buckets, so that a new row is mostly the last one.
    fn add(&mut self, bucket: usize, numbers: impl Iterator<Item = Option<i64>>) {
        let metrics = self.sums.len();
        let place = self.buckets.binary_search(&bucket).unwrap_or_else(|place| {
            self.buckets.insert(place, bucket);
            let (at, row) = (place * metrics, std::iter::repeat_n(None, metrics));
            self.numbers.splice(at..at, row);
            place
        });
        let row = self.numbers.iter_mut().skip(place * metrics);
        for ((number, sum), more) in row.zip(&mut self.sums).zip(numbers) {
            *number = add(*number, more);
            *sum = add(*sum, more);
        }
    }
}

impl Matrix {
    /// Returns an empty matrix.
    pub(crate) fn new(kind: &'static ReportKind, dimensions: &[Group]) -> Self {
        Self {
            kind,
            dimensions: dimensions.to_vec(),
            groups: Vec::new(),
            positions: HashMap::new(),
            expected: 0,
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
                let group = self.position(row);
                let numbers = self.kind.metrics.iter().map(|metric| {
                    let number = row.numbers.iter().find(|(name, _)| name == metric.name);
                    number.map(|(_, number)| *number)
                });
                self.groups[group].add(segment, numbers);
            }
        }
    }

    fn learn_project(&mut self, row: &ReportRow<'_>) {
        if !self.dimensions.contains(&Group::Key) {
            return;
        }
        if let (Some(key), Some(project)) = (value(row, Group::Key), value(row, Group::Project))
            && !self.key_projects.contains_key(key)
        {
            self.key_projects.insert(key.to_owned(), project.to_owned());
        }
    }

    /// Returns the projects of keys, as far as they are known.
    pub(crate) fn key_projects(&self) -> &HashMap<String, String> {
        &self.key_projects
    }

    /// Returns the index of the group of a row.
    fn position(&mut self, row: &ReportRow<'_>) -> usize {
        let expected = self.groups.get(self.expected);
        let position = if expected.is_some_and(|group| self.is_of(group, row)) {
            self.expected
        } else {
            let values = self.dimensions.iter().map(|by| value(row, *by));
            let key = values.map(|value| value.map(str::to_owned)).collect();
            self.position_of(key)
        };
        self.expected = position + 1;
        position
    }

    /// True if a row is one of a group.
    fn is_of(&self, group: &GroupFigures, row: &ReportRow<'_>) -> bool {
        let mut keys = self.dimensions.iter().zip(&group.key);
        keys.all(|(by, own)| value(row, *by) == own.as_deref())
    }

    fn position_of(&mut self, key: GroupKey) -> usize {
        if let Some(position) = self.positions.get(&key) {
            return *position;
        }
        let position = self.groups.len();
        let metrics = self.kind.metrics.len();
        self.groups.push(GroupFigures::new(key.clone(), metrics));
        self.positions.insert(key, position);
        position
    }

    /// Returns the groups, those with the largest sums of a metric first.
    pub(crate) fn ranking(&self, metric: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.groups.len()).collect();
        let sum = |group: usize| self.groups[group].sums[metric].unwrap_or(0);
        order.sort_by(|a, b| {
            let keys = || self.groups[*a].key.cmp(&self.groups[*b].key);
            sum(*b).cmp(&sum(*a)).then_with(keys)
        });
        order
    }

    /// Returns the dimensions.
    pub(crate) fn dimensions(&self) -> &[Group] {
        &self.dimensions
    }

    /// Returns the values of a group.
    pub(crate) fn group(&self, position: usize) -> &[Option<String>] {
        &self.groups[position].key
    }

    /// Returns the number of groups.
    pub(crate) fn len(&self) -> usize {
        self.groups.len()
    }

    /// True if nothing was recorded.
    pub(crate) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Returns the numbers of a group in a bucket; `None` if nothing was recorded.
    pub(crate) fn cell(&self, segment: usize, group: usize) -> Option<&[Option<i64>]> {
        self.groups[group].row(segment)
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
            Some(group) => self.groups[*group].sums.clone(),
            None => vec![None; self.kind.metrics.len()],
        }
    }

    /// Returns the sums of all metrics over everything; `None` where nothing was recorded.
    pub(crate) fn totals(&self) -> Vec<Option<i64>> {
        let mut sums = vec![None; self.kind.metrics.len()];
        for group in &self.groups {
            for (sum, number) in sums.iter_mut().zip(&group.sums) {
                *sum = add(*sum, *number);
            }
        }
        sums
    }
}

/// Returns the value of a dimension in a row.
fn value<'a>(row: &'a ReportRow<'_>, dimension: Group) -> Option<&'a str> {
    let found = row.groups.iter().find(|(own, _)| *own == dimension);
    found.map(|(_, value)| &**value)
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
