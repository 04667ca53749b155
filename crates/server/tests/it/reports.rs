//! Usage and costs as the Administration API reports them, summed over all buckets.

use base::Clock;
use serde_json::Value;

use crate::api::Api;

/// Sums of a usage report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    pub requests: i64,
    pub input: i64,
    pub cached: i64,
    pub output: i64,
}

impl std::ops::AddAssign for Sums {
    fn add_assign(&mut self, other: Self) {
        self.requests += other.requests;
        self.input += other.input;
        self.cached += other.cached;
        self.output += other.output;
    }
}

impl std::iter::Sum for Sums {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |mut sum, one| {
            sum += one;
            sum
        })
    }
}

impl Sums {
    /// Returns the cost in nano-dollars at these prices of an input, a cached and an output token.
    pub fn cost(self, [input, cached, output]: [i64; 3]) -> i64 {
        (self.input - self.cached) * input + self.cached * cached + self.output * output
    }

    fn read(row: &Value) -> Self {
        let number = |name: &str| row[name].as_i64().unwrap_or_default();
        Self {
            requests: number("num_model_requests"),
            input: number("input_tokens"),
            cached: number("input_cached_tokens"),
            output: number("output_tokens"),
        }
    }
}

pub fn now() -> i64 {
    Clock::system().now().0
}

/// Returns the completions usage of the last day; buckets of each width must agree.
pub async fn usage(admin: &Api) -> Sums {
    let mut sums = Vec::new();
    for (width, limit, span) in [
        ("1m", 1440, 23 * 3_600),
        ("1h", 168, 86_400),
        ("1d", 31, 86_400),
    ] {
        let start = now() - span;
        let path = format!(
            "/organization/usage/completions?start_time={start}&bucket_width={width}&limit={limit}"
        );
        let rows = rows(&admin.get(&path).await);
        sums.push(rows.iter().map(Sums::read).sum());
    }
    assert!(sums.windows(2).all(|pair| pair[0] == pair[1]), "{sums:?}");
    sums[0]
}

/// Returns the cost of the last day, in nano-dollars.
pub async fn cost(admin: &Api) -> i64 {
    let path = format!("/organization/costs?start_time={}&limit=31", now() - 86_400);
    let rows = rows(&admin.get(&path).await);
    let amount = |row: &Value| nano_dollars(row["amount"]["value"].as_f64().expect("a number"));
    rows.iter().map(amount).sum()
}

/// US dollars as whole nano-dollars, of which a double holds sixteen digits exactly.
pub fn nano_dollars(dollars: f64) -> i64 {
    let nano = (dollars * 1e9).round();
    assert!(
        nano.abs() < 9e15 && (dollars * 1e9 - nano).abs() < 0.01,
        "{dollars}"
    );
    nano as i64
}

/// The rows of all buckets of a report's only page.
fn rows(page: &Value) -> Vec<Value> {
    assert_eq!(page["has_more"], false, "one page holds it all");
    let buckets = page["data"].as_array().expect("buckets");
    let results = |bucket: &Value| bucket["results"].as_array().expect("results").clone();
    buckets.iter().flat_map(results).collect()
}
