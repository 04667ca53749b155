//! Tables of a report: figures by bucket, which a chart draws, and sums by group.

use base::NanoDollars;
use pages::number;

use super::kind::{Group, MetricColumn};
use super::matrix::{Matrix, add};
use super::names::GroupNames;
use super::period::Period;

/// Maximum number of series of a chart; the smaller groups are summed.
const MAX_SERIES: usize = 8;
/// Maximum number of groups in the table of sums.
pub(crate) const MAX_GROUP_ROWS: usize = 50;

/// Text of a figure that was not recorded, which is not zero.
const MISSING: &str = "\u{2013}";

/// The unit of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// A number of something.
    Count,
    /// Nano-dollars.
    Money,
}

impl Unit {
    /// Returns the unit of a metric.
    pub(crate) fn of(metric: &MetricColumn) -> Self {
        if metric.name == "amount" {
            Self::Money
        } else {
            Self::Count
        }
    }

    /// Returns the word for scripts.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Money => "usd",
        }
    }

    /// Formats a number for people.
    pub(crate) fn text(self, value: i64) -> String {
        match self {
            Self::Count => number::whole(value),
            Self::Money => number::money(NanoDollars(value)),
        }
    }

    /// Formats a number of a table; a dash if nothing was recorded.
    fn cell(self, value: Option<i64>) -> String {
        value.map_or_else(|| MISSING.to_owned(), |value| self.text(value))
    }
}

/// A column of the table that a chart draws.
#[derive(Clone, Debug)]
pub(crate) struct SeriesHead {
    pub(crate) label: String,
    /// `bar` or `line`; empty if the chart does not draw the column.
    pub(crate) series: &'static str,
}

/// The table that a chart draws: a row for each bucket.
#[derive(Clone, Debug)]
pub(crate) struct ChartTable {
    pub(crate) unit: Unit,
    pub(crate) heads: Vec<SeriesHead>,
    pub(crate) rows: Vec<(String, Vec<String>)>,
    /// Sums of the columns.
    pub(crate) sums: Vec<String>,
}

/// The parts of a report that tables are made of.
pub(crate) struct ReportFigures<'a> {
    pub(crate) period: &'a Period,
    pub(crate) matrix: &'a Matrix,
    /// Figures of the period before, if they are shown.
    pub(crate) before: Option<&'a Matrix>,
    pub(crate) names: &'a GroupNames,
}

impl ReportFigures<'_> {
    /// Returns the table by bucket of a metric.
    pub(crate) fn chart(&self, position: usize, metric: &MetricColumn) -> ChartTable {
        let unit = Unit::of(metric);
        let order = self.matrix.ranking(position);
        let columns = self.chart_columns(metric, &order);
        let mut heads: Vec<SeriesHead> = columns.iter().map(|(head, _)| head.clone()).collect();
        let has_total = columns.len() > 1;
        if has_total {
            heads.push(SeriesHead {
                label: "Total".to_owned(),
                series: "",
            });
        }
        let before = self.before.map(|matrix| (matrix, matrix.ranking(position)));
        if before.is_some() {
            heads.push(SeriesHead {
                label: "Period before".to_owned(),
                series: "line",
            });
        }
        let mut sums = vec![None; heads.len()];
        let rows = self
            .period
            .segments
            .iter()
            .enumerate()
            .map(|(index, segment)| {
                let of = |groups: &[usize]| self.matrix.sum_in(index, groups, position);
                let mut values: Vec<Option<i64>> =
                    columns.iter().map(|(_, groups)| of(groups)).collect();
                if has_total {
                    values.push(of(&order));
                }
                if let Some((matrix, all)) = &before {
                    values.push(matrix.sum_in(index, all, position));
                }
                for (sum, value) in sums.iter_mut().zip(&values) {
                    *sum = add(*sum, *value);
                }
                let figures = values.into_iter().map(|value| unit.cell(value));
                (self.period.label(*segment), figures.collect())
            });
        let rows = rows.collect();
        ChartTable {
            unit,
            heads,
            rows,
            sums: sums.into_iter().map(|sum| unit.cell(sum)).collect(),
        }
    }

    /// Returns the bars of a chart with their groups: the largest groups in this order, and the sum of the others.
    fn chart_columns(
        &self,
        metric: &MetricColumn,
        order: &[usize],
    ) -> Vec<(SeriesHead, Vec<usize>)> {
        let is_single = self.matrix.dimensions().is_empty();
        let shown = if order.len() > MAX_SERIES {
            MAX_SERIES - 1
        } else {
            order.len()
        };
        let bar = |label| SeriesHead {
            label,
            series: "bar",
        };
        let (large, small) = order.split_at(shown);
        let large = large.iter().map(|group| {
            let label = if is_single {
                metric.label.to_owned()
            } else {
                self.label(*group)
            };
            (bar(label), vec![*group])
        });
        let mut columns: Vec<(SeriesHead, Vec<usize>)> = large.collect();
        if !small.is_empty() {
            let label = format!("{} others", small.len());
            columns.push((bar(label), small.to_vec()));
        }
        columns
    }

    /// Returns the name of a group: those of its values.
    fn label(&self, group: usize) -> String {
        let values = self
            .matrix
            .dimensions()
            .iter()
            .zip(self.matrix.group(group));
        let names: Vec<String> = values
            .map(|(dimension, value)| self.names.text(*dimension, value.as_deref()))
            .collect();
        names.join(" · ")
    }

    /// Returns the largest groups with their sums, by the metric at `position`.
    pub(crate) fn groups(&self, position: usize, metrics: &[MetricColumn]) -> Vec<GroupRow> {
        let total = self.matrix.totals()[position].unwrap_or(0);
        let order = self.matrix.ranking(position);
        let row = |group: &usize| {
            let key = self.matrix.group(*group);
            let sums = self.matrix.sums_of(key);
            let before = self.before.map(|matrix| matrix.sums_of(key)[position]);
            let own = sums[position].unwrap_or(0);
            let dimensions = self.matrix.dimensions().iter().copied();
            let texts = metrics.iter().zip(&sums);
            GroupRow {
                key: dimensions.zip(key.iter().cloned()).collect(),
                figures: texts.map(|(metric, sum)| text(metric, *sum)).collect(),
                share: share(own, total),
                before: before.map(|before| text(&metrics[position], before)),
                change: before.map(|before| change(own, before)),
            }
        };
        order.iter().take(MAX_GROUP_ROWS).map(row).collect()
    }
}

/// A row of the table of sums.
#[derive(Clone, Debug)]
pub(crate) struct GroupRow {
    /// Dimensions with their values.
    pub(crate) key: Vec<(Group, Option<String>)>,
    pub(crate) figures: Vec<String>,
    pub(crate) share: String,
    /// Sum in the period before; `None` if it is not shown.
    pub(crate) before: Option<String>,
    /// Change since the period before.
    pub(crate) change: Option<String>,
}

/// Formats a sum; a dash if nothing was recorded.
pub(crate) fn text(metric: &MetricColumn, sum: Option<i64>) -> String {
    Unit::of(metric).cell(sum)
}

#[expect(clippy::cast_precision_loss, reason = "percentages have two digits")]
fn share(part: i64, total: i64) -> String {
    number::share(part as f64, total as f64)
}

/// Returns the change from the period before in percent: `+12 %`, `−3 %`; `new` if nothing was recorded before.
#[expect(clippy::cast_precision_loss, reason = "percentages have two digits")]
pub(crate) fn change(now: i64, before: Option<i64>) -> String {
    match before {
        None | Some(0) if now == 0 => "\u{2014}".to_owned(),
        None | Some(0) => "new".to_owned(),
        Some(before) => {
            let percent = (now as f64 - before as f64) / (before as f64).abs() * 100.0;
            let sign = if percent < 0.0 { "\u{2212}" } else { "+" };
            format!("{sign}{:.0}\u{a0}%", percent.abs())
        }
    }
}

#[cfg(test)]
mod tests {
    use base::UnixTime;
    use pages::Zone;

    use super::*;
    use crate::report::kind::{COSTS, ReportKind};
    use crate::report::period::PeriodWords;

    /// 2026-12-01T00:00:00Z.
    const TODAY_SECONDS: i64 = 1_796_083_200;

    fn period() -> Period {
        let words = PeriodWords {
            range: "7d",
            ..PeriodWords::default()
        };
        Period::read(&words, UnixTime(TODAY_SECONDS + 60), &Zone::default())
    }

    /// Returns costs of today: of `count` projects, the first costs most.
    fn costs(period: &Period, count: i64) -> Matrix {
        let results: Vec<String> = (0..count)
            .map(|index| {
                let value = f64::from(i32::try_from(count - index).expect("small")) / 4.0;
                format!(
                    r#"{{"amount":{{"value":{value},"currency":"usd"}},"project_id":"p{index}"}}"#
                )
            })
            .collect();
        let text = format!(
            r#"{{"data":[{{"start_time":{TODAY_SECONDS},"results":[{}]}}],"next_page":null}}"#,
            results.join(",")
        );
        let mut matrix = Matrix::new(&COSTS, &[Group::Project]);
        let query = period.queries(false)[0];
        matrix.add(period, query, &serde_json::from_str(&text).expect("a page"));
        matrix
    }

    #[test]
    fn small_groups_are_summed_and_nothing_is_lost() {
        let period = period();
        let matrix = costs(&period, 20);
        let figures = ReportFigures {
            period: &period,
            matrix: &matrix,
            before: None,
            names: &GroupNames::default(),
        };
        let table = figures.chart(0, &COSTS.metrics[0]);
        let labels: Vec<&str> = table.heads.iter().map(|head| head.label.as_str()).collect();
        assert_eq!(
            labels,
            [
                "p0",
                "p1",
                "p2",
                "p3",
                "p4",
                "p5",
                "p6",
                "13 others",
                "Total"
            ]
        );
        assert_eq!(table.rows.len(), 7);
        let is_missing = |figure: &String| figure == MISSING;
        assert!(table.rows[5].1.iter().all(is_missing), "yesterday");
        let today = &table.rows[6].1;
        assert_eq!(today[0], "$5.00");
        assert_eq!(today[8], "$52.50");
        assert_eq!(table.sums[8], "$52.50");
        let parts: f64 = today[..8]
            .iter()
            .map(|part| part[1..].parse::<f64>().expect("dollars"))
            .sum();
        assert!((parts - 52.5).abs() < 1e-9, "{parts}");
    }

    #[test]
    fn groups_are_compared_with_the_period_before() {
        let period = period();
        let (matrix, before) = (costs(&period, 3), costs(&period, 1));
        let figures = ReportFigures {
            period: &period,
            matrix: &matrix,
            before: Some(&before),
            names: &GroupNames::default(),
        };
        let rows = figures.groups(0, COSTS.metrics);
        let shown: Vec<_> = rows
            .iter()
            .map(|row| {
                (
                    row.figures[0].as_str(),
                    row.before.as_deref(),
                    row.change.as_deref(),
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                ("$0.75", Some("$0.25"), Some("+200\u{a0}%")),
                ("$0.50", Some("\u{2013}"), Some("new")),
                ("$0.25", Some("\u{2013}"), Some("new")),
            ]
        );
        assert_eq!(rows[0].share, "50\u{a0}%");
    }

    #[test]
    fn a_report_of_everything_is_one_series() {
        let period = period();
        let kind = ReportKind::find("completions").expect("a report");
        let mut matrix = Matrix::new(kind, &[]);
        let text = format!(
            r#"{{"data":[{{"start_time":{TODAY_SECONDS},"results":[{{"num_model_requests":0}}]}}],"next_page":null}}"#
        );
        matrix.add(
            &period,
            period.queries(true)[0],
            &serde_json::from_str(&text).expect("a page"),
        );
        let figures = ReportFigures {
            period: &period,
            matrix: &matrix,
            before: None,
            names: &GroupNames::default(),
        };
        let table = figures.chart(0, &kind.metrics[0]);
        assert_eq!(table.heads.len(), 1);
        assert_eq!(table.rows[6].1[0], "0");
        assert_eq!(table.rows[0].1[0], MISSING);
    }

    #[test]
    fn changes_are_percentages() {
        for (now, before, expected) in [
            (150, Some(100), "+50\u{a0}%"),
            (50, Some(100), "\u{2212}50\u{a0}%"),
            (5, None, "new"),
            (5, Some(0), "new"),
            (0, None, "\u{2014}"),
        ] {
            assert_eq!(change(now, before), expected);
        }
    }
}
