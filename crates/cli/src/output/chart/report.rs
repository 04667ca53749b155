//! A report of usage or costs in numbers: a sum for each bucket of time, and its parts by group.

use std::collections::HashMap;

use anyhow::{Result, bail};

use crate::output::characters::line;
use crate::output::value::{Value, minute, time};
use crate::output::view::is_page;

/// The largest number of groups; the smallest are added up in the last.
const MAX_GROUPS: usize = 12;

/// The metrics, each with the fields of a result that are added up. The first that a report has is drawn.
const METRICS: [(&str, &[&str]); 9] = [
    ("costs", &["amount"]),
    (
        "input and output tokens",
        &["input_tokens", "output_tokens"],
    ),
    ("images", &["images"]),
    ("characters", &["characters"]),
    ("seconds", &["seconds"]),
    ("bytes", &["usage_bytes"]),
    ("sessions", &["num_sessions"]),
    ("requests", &["num_requests"]),
    ("requests", &["num_model_requests"]),
];

/// A report as numbers.
pub struct Report {
    pub title: String,
    is_money: bool,
    /// The start of each bucket and its sum.
    pub buckets: Vec<(String, f64)>,
    /// The name of each group and its part of each bucket, the largest group first.
    pub groups: Vec<(String, Vec<f64>)>,
}

impl Report {
    /// Reads a report.
    ///
    /// # Errors
    /// The response is something else.
    pub fn read(answer: &Value) -> Result<Self> {
        let Some(Value::List(buckets)) = answer.get("data").filter(|_| is_page(answer)) else {
            let kind = answer.get("object").and_then(Value::text);
            let kind = kind.map_or_else(String::new, |kind| format!(" of kind '{}'", line(&kind)));
            bail!("--chart draws reports of usage and costs; this is an answer{kind}");
        };
        let all = || buckets.iter().flat_map(results);
        let has = |fields: &[&str]| all().any(|result| result.get(fields[0]).is_some());
        let (name, fields) = METRICS
            .into_iter()
            .find(|(_, fields)| has(fields))
            .unwrap_or(("results", &[]));
        let currency = all().find_map(|result| result.get("amount")?.get("currency")?.text());
        let mut sums = Vec::new();
        let mut groups = HashMap::<String, Vec<(usize, f64)>>::new();
        for (place, bucket) in buckets.iter().enumerate() {
            let mut sum = 0.0;
            for result in results(bucket) {
                let measured = measure(result, fields);
                sum += measured;
                let parts = groups.entry(group(result)).or_default();
                parts.push((place, measured));
            }
            sums.push((start(bucket), sum));
        }
        Ok(Report {
            title: currency.map_or(name.to_owned(), |it| format!("{name}, {}", line(&it))),
            is_money: name == "costs",
            buckets: shortened(sums),
            groups: largest_first(groups, buckets.len()),
        })
    }

    /// Returns the number of decimals: two for money, four for small amounts of it, none for whole counts.
    pub fn decimals(&self) -> usize {
        let largest = self.buckets.iter().map(|(_, sum)| sum.abs());
        let largest = largest.fold(0.0, f64::max);
        let is_whole = self.buckets.iter().all(|(_, sum)| sum.fract() == 0.0);
        match (self.is_money, is_whole) {
            (true, _) if largest > 0.0 && largest < 1.0 => 4,
            (false, true) => 0,
            _ => 2,
        }
    }
}

fn results<'value, 'text>(bucket: &'value Value<'text>) -> &'value [Value<'text>] {
    bucket
        .get("results")
        .and_then(Value::objects)
        .unwrap_or(&[])
}

fn start(bucket: &Value) -> String {
    let start = bucket.get("start_time").unwrap_or(&Value::Null);
    time("start_time", start).map_or_else(|| "?".to_owned(), minute)
}

fn measure(result: &Value, fields: &[&str]) -> f64 {
    let field = |name: &&str| {
        let value = result.get(name)?;
        value.get("value").unwrap_or(value).float()
    };
    fields.iter().filter_map(field).sum()
}

/// Returns the name of a result's group: the fields that the report was grouped by, such as a model and a project.
fn group(result: &Value) -> String {
    let Value::Object(fields) = result else {
        return String::new();
    };
    let words = fields.iter().filter_map(|(key, value)| {
        let key = key.plain();
        match value {
            Value::Text(text) if key != "object" && key != "quantity_unit" => {
                Some(line(&text.plain()).into_owned())
            }
            Value::Bool(is_so) => Some(format!("{}={is_so}", line(&key))),
            _ => None,
        }
    });
    words.collect::<Vec<_>>().join(", ")
}

/// Names days without the time at which they begin.
fn shortened(mut sums: Vec<(String, f64)>) -> Vec<(String, f64)> {
    if sums.iter().all(|(start, _)| start.ends_with(" 00:00")) {
        for (start, _) in &mut sums {
            start.truncate(start.len() - " 00:00".len());
        }
    }
    sums
}

/// Returns the parts of each group in each bucket, the smallest groups added up, so that a long report stays small.
fn largest_first(
    groups: HashMap<String, Vec<(usize, f64)>>,
    buckets: usize,
) -> Vec<(String, Vec<f64>)> {
    let total = |parts: &[(usize, f64)]| parts.iter().map(|(_, part)| part).sum::<f64>();
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by(|a, b| total(&b.1).total_cmp(&total(&a.1)).then(a.0.cmp(&b.0)));
    if groups.len() > MAX_GROUPS {
        let others = groups.split_off(MAX_GROUPS - 1);
        let name = format!("{} others", others.len());
        groups.push((
            name,
            others.into_iter().flat_map(|(_, parts)| parts).collect(),
        ));
    }
    let spread = |parts: Vec<(usize, f64)>| {
        let mut sums = vec![0.0; buckets];
        for (place, part) in parts {
            sums[place] += part;
        }
        sums
    };
    let spread = groups
        .into_iter()
        .map(|(name, parts)| (name, spread(parts)));
    spread.collect()
}
