//! `--chart`: a report of usage or costs as bars, one for each bucket of time, and as a line for each group.

mod report;

use anyhow::Result;

use super::characters::{columns, fit, spaces};
use super::colour::{Palette, Role};
use super::value::Value;
use report::Report;

/// The fewest columns of bars and names on a narrow terminal.
const MIN_BAR_COLUMNS: usize = 4;

/// Returns the drawing of a report, with a newline at the end.
pub fn draw(answer: &Value, width: usize, palette: Palette) -> Result<String> {
    let report = Report::read(answer)?;
    let mut chart = Chart {
        out: String::new(),
        width,
        palette,
        decimals: report.decimals(),
    };
    palette.push(&mut chart.out, Role::Heading, &report.title);
    chart.out.push('\n');
    chart.bars(&report);
    chart.groups(&report);
    Ok(chart.out)
}

struct Chart {
    out: String,
    width: usize,
    palette: Palette,
    decimals: usize,
}

impl Chart {
    fn bars(&mut self, report: &Report) {
        let mut rows = report.buckets.clone();
        let total = rows.iter().map(|(_, sum)| sum).sum();
        let largest = rows.iter().map(|(_, sum)| *sum).fold(0.0, f64::max);
        rows.push(("total".to_owned(), total));
        let last = rows.len() - 1;
        self.rows(&rows, |place, sum, room| {
            // The total would be longer than every bar.
            if place == last {
                String::new()
            } else {
                bar(sum, largest, room)
            }
        });
    }

    fn groups(&mut self, report: &Report) {
        if report.groups.len() < 2 {
            return;
        }
        self.out.push('\n');
        let largest = report.groups.iter().flat_map(|(_, parts)| parts);
        let largest = largest.copied().fold(0.0, f64::max);
        let sums = report
            .groups
            .iter()
            .map(|(name, parts)| (name.clone(), parts.iter().sum()));
        self.rows(&sums.collect::<Vec<_>>(), |place, _, room| {
            sparkline(&report.groups[place].1, largest, room)
        });
    }

    /// Writes rows of a name, a drawing and a number.
    fn rows(&mut self, rows: &[(String, f64)], draw: impl Fn(usize, f64, usize) -> String) {
        let numbers: Vec<_> = rows
            .iter()
            .map(|(_, sum)| grouped(*sum, self.decimals))
            .collect();
        let number = numbers.iter().map(String::len).max().unwrap_or(0);
        let most = (self.width / 3).max(MIN_BAR_COLUMNS);
        let name = rows.iter().map(|(name, _)| columns(name)).max();
        let name = name.unwrap_or(0).min(most.max("2026-01-15".len()));
        let room = self
            .width
            .saturating_sub(name + number + 4)
            .max(MIN_BAR_COLUMNS);
        for (place, (label, sum)) in rows.iter().enumerate() {
            let label = fit(label, name);
            self.palette.push(&mut self.out, Role::Key, &label);
            self.out.push_str(&spaces(name - columns(&label) + 2));
            let drawn = draw(place, *sum, room);
            self.palette.push(&mut self.out, Role::Text, &drawn);
            let digits = &numbers[place];
            let free = room - columns(&drawn) + 2 + number - digits.len();
            self.out.push_str(&spaces(free));
            self.palette.push(&mut self.out, Role::Number, digits);
            self.out.push('\n');
        }
    }
}

/// Scales `part` of `largest` to a number of at most `all` steps; only zero has no step.
fn steps(part: f64, largest: f64, all: usize) -> usize {
    if part <= 0.0 || largest <= 0.0 {
        return 0;
    }
    let whole = f64::from(u32::try_from(all).unwrap_or(u32::MAX));
    let reached = part / largest * whole + 0.5;
    let steps = (1..=all)
        .zip(1_u32..)
        .take_while(|(_, step)| f64::from(*step) <= reached);
    steps.count().max(1)
}

fn bar(part: f64, largest: f64, room: usize) -> String {
    const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = steps(part, largest, room * 8);
    "█".repeat(eighths / 8) + PARTS[eighths % 8]
}

/// Draws a column for each bucket; where there is no room for all, for several buckets together.
fn sparkline(parts: &[f64], largest: f64, room: usize) -> String {
    const HEIGHTS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let together = parts.len().div_ceil(room).max(1);
    let columns = parts.chunks(together).map(|chunk| {
        let highest = chunk.iter().copied().fold(0.0, f64::max);
        HEIGHTS[steps(highest, largest, 8)]
    });
    columns.collect()
}

/// Formats a number with commas between its thousands.
fn grouped(number: f64, decimals: usize) -> String {
    let text = format!("{number:.decimals$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let (sign, digits) = whole.split_at(usize::from(whole.starts_with('-')));
    let mut out = sign.to_owned();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Palette = Palette { is_on: false };
    const DAY_SECONDS: u64 = 86_400;
    const START_SECONDS: u64 = 1_768_435_200;

    fn page(buckets: &[&str]) -> String {
        let bucket = |(place, results): (u64, &&str)| {
            format!(
                r#"{{"object":"bucket","start_time":{},"results":[{results}]}}"#,
                START_SECONDS + place * DAY_SECONDS
            )
        };
        let buckets: Vec<_> = (0..).zip(buckets).map(bucket).collect();
        format!(r#"{{"object":"page","data":[{}]}}"#, buckets.join(","))
    }

    fn drawn(text: &str, width: usize) -> String {
        draw(&Value::parse(text).unwrap(), width, PLAIN).unwrap()
    }

    #[test]
    fn costs_have_a_bar_for_each_day() {
        let cost = |value| {
            format!(
                r#"{{"object":"r","amount":{{"value":{value},"currency":"usd"}},"project_id":null}}"#
            )
        };
        let text = page(&[&cost("1200.5"), "", &cost("600.25"), &cost("0.01")]);
        let expected = "\
costs, usd
2026-01-15  ██████████████  1,200.50
2026-01-16                      0.00
2026-01-17  ███████           600.25
2026-01-18  ▏                   0.01
total                       1,800.76
";
        assert_eq!(drawn(&text, 36), expected);
    }

    #[test]
    fn groups_have_a_line_each() {
        let usage = |model, input, output| {
            format!(
                r#"{{"object":"r","input_tokens":{input},"output_tokens":{output},"model":"{model}","batch":null}}"#
            )
        };
        let text = page(&[
            &[usage("small", 1, 1), usage("large", 5, 3)].join(","),
            &usage("large", 4, 0),
            &usage("small", 1, 0),
        ]);
        let expected = "\
input and output tokens
2026-01-15  ██████████  10
2026-01-16  ████         4
2026-01-17  █            1
total                   15

large  █▄               12
small  ▂ ▁               3
";
        assert_eq!(drawn(&text, 26), expected);
    }

    #[test]
    fn many_groups_share_a_line_and_none_is_lost() {
        let results: Vec<_> = (1..=30)
            .map(|n| format!(r#"{{"num_sessions":{n},"project_id":"proj_{n}"}}"#))
            .collect();
        let text = drawn(&page(&[&results.join(","), &results.join(",")]), 60);
        let groups: Vec<_> = text
            .lines()
            .skip_while(|line| !line.is_empty())
            .skip(1)
            .collect();
        assert_eq!(groups.len(), 12);
        assert!(groups[0].starts_with("proj_30 ") && groups[0].ends_with(" 60"));
        // 1 to 19, twice.
        assert!(groups[11].starts_with("19 others") && groups[11].ends_with(" 380"));
    }

    #[test]
    fn chart_is_at_most_as_wide_as_terminal() {
        let results = format!(
            r#"{{"images":9007199254740991,"model":"{}"}},{{"images":1,"model":"漢"}}"#,
            "漢".repeat(100)
        );
        let text = page(&vec![&results[..]; 500]);
        for width in [60, 80, 200] {
            let text = drawn(&text, width);
            assert!(text.lines().all(|line| columns(line) <= width), "{text}");
        }
        drawn(&text, 0);
    }

    #[test]
    fn only_reports_are_drawn() {
        let error = draw(
            &Value::parse(r#"{"object":"organization.user"}"#).unwrap(),
            80,
            PLAIN,
        );
        assert_eq!(
            error.unwrap_err().to_string(),
            "--chart draws reports of usage and costs; this is an answer of kind 'organization.user'"
        );
        assert_eq!(drawn(&page(&[]), 80).lines().count(), 2);
    }

    #[test]
    fn thousands_are_separated() {
        assert_eq!(grouped(1_234_567.891, 2), "1,234,567.89");
        assert_eq!(grouped(-1234.0, 0), "-1,234");
        assert_eq!(grouped(999.0, 0), "999");
    }
}
