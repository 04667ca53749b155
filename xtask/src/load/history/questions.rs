//! Questions, put to the server as reports and to ClickHouse as queries.

use anyhow::{Result, bail};
use serde_json::Value;

use super::super::events::{Population, SECONDS_PER_DAY, Totals};
use super::super::figures::percentile;
use super::super::http::Client;
use super::super::sending::post;
use super::super::server::{Server, results};
use crate::step::{instant, say};

/// Number of times that each question is put before it counts.
pub const WARM_UP_COUNT: usize = 3;
/// Number of times that each question is put.
pub const REPETITION_COUNT: usize = 60;

/// A question about usage or costs.
pub struct Question {
    /// In words.
    pub name: &'static str,
    /// As the server's API has it.
    pub path: String,
    /// As ClickHouse has it; its columns have the names of the report's fields.
    pub sql: String,
    /// Goal of the 95th percentile, in microseconds.
    pub bound: f64,
}

/// Answers to a question that was put many times.
pub struct Answers {
    /// Microseconds of each answer.
    pub times: Vec<f64>,
    /// Microseconds of the very first answer.
    pub first: f64,
    /// Number of results of the first answer.
    pub results: usize,
    /// Number of bytes of the first answer.
    pub bytes: usize,
    /// Sums of the first answer.
    pub totals: Totals,
}

impl Answers {
    /// Returns the microseconds that `percent` of all answers did not exceed.
    pub fn at(&self, percent: f64) -> f64 {
        percentile(self.times.iter().copied(), percent)
    }
}

/// Returns the questions that finance, platform and product teams put every day.
pub fn all(population: &Population) -> [Question; 4] {
    let end = population.end;
    let usage = |days: u64, rest: &str| {
        let start = end - days * SECONDS_PER_DAY;
        format!("/v1/organization/usage/completions?start_time={start}&end_time={end}&{rest}")
    };
    let (half_year, project) = (end - 180 * SECONDS_PER_DAY, &population.projects[0]);
    let hours =
        format!("bucket_width=1h&limit=168&project_ids={project}&group_by=user_id&group_by=model");
    let of_project = format!("project_id = '{project}'");
    let daily = usage(31, "limit=31&group_by=project_id&group_by=model");
    let minutes = usage(1, "bucket_width=1m&limit=1440&group_by=model");
    [
        Question {
            name: "31 days by project and model",
            path: daily,
            sql: query(
                "Day",
                "project_id, model",
                end - 31 * SECONDS_PER_DAY,
                end,
                "true",
            ),
            bound: 20e3,
        },
        Question {
            name: "168 hours of one project by user and model",
            path: usage(7, &hours),
            sql: query(
                "Hour",
                "user_id, model",
                end - 7 * SECONDS_PER_DAY,
                end,
                &of_project,
            ),
            bound: 20e3,
        },
        Question {
            name: "1,440 minutes by model",
            path: minutes,
            sql: query("Minute", "model", end - SECONDS_PER_DAY, end, "true"),
            bound: 50e3,
        },
        Question {
            name: "costs of 180 days by line item",
            path: format!(
                "/v1/organization/costs?start_time={half_year}&end_time={end}&limit=180&group_by=line_item"
            ),
            sql: query_of_costs(half_year, end),
            bound: 20e3,
        },
    ]
}

fn query(width: &str, groups: &str, start: u64, end: u64, filter: &str) -> String {
    format!(
        "SELECT toUnixTimestamp(toStartOf{width}(timestamp)) AS start_time, {groups}, \
         sum(e.input_tokens) AS input_tokens, sum(e.input_cached_tokens) AS input_cached_tokens, \
         sum(e.output_tokens) AS output_tokens, count() AS num_model_requests \
         FROM events AS e WHERE {filter} AND {} GROUP BY start_time, {groups} ORDER BY start_time",
        within(start, end)
    )
}

/// Returns a query of costs. The sums of a model's three line items are made in one pass, and then told apart.
fn query_of_costs(start: u64, end: u64) -> String {
    format!(
        "SELECT start_time, concat(model, ', ', line.1) AS line_item, line.2 AS quantity, line.3 / 1e9 AS amount \
         FROM (SELECT toUnixTimestamp(toStartOfDay(timestamp)) AS start_time, model, \
         [('input_tokens', toUInt64(sum(input_tokens) - sum(input_cached_tokens)), sum(input_cost)), \
         ('input_cached_tokens', sum(input_cached_tokens), sum(cached_cost)), \
         ('output_tokens', sum(output_tokens), sum(output_cost))] AS lines \
         FROM events WHERE {} GROUP BY start_time, model) \
         ARRAY JOIN lines AS line WHERE quantity > 0 ORDER BY start_time, line_item",
        within(start, end)
    )
}

fn within(start: u64, end: u64) -> String {
    format!("timestamp >= toDateTime({start}, 'UTC') AND timestamp < toDateTime({end}, 'UTC')")
}

/// Puts each question once, as it is after a start, and asks for all that was sent; then puts each again and again, one
/// after the other. Before each of these one more event is written, which every answer must have in it, so that none is
/// an answer that was kept.
pub fn ask(
    server: &Server,
    population: &Population,
    questions: &[Question],
    sent: &Totals,
) -> Result<Vec<Answers>> {
    let mut client = server.admin()?;
    let first = |question: &Question| first(&mut client, question);
    let mut all: Vec<Answers> = questions.iter().map(first).collect::<Result<_>>()?;
    check(&mut client, population, sent)?;
    let mut added = Totals::default();
    for (question, answers) in questions.iter().zip(&mut all) {
        say(&format!("history: {}", question.name));
        for repetition in 0..WARM_UP_COUNT + REPETITION_COUNT {
            let (mut body, event) = (Vec::new(), population.addition(added.events));
            population.write_json(&event, &mut body);
            post(&mut client, &body, 1)?;
            added += &event;
            let (answer, time) = timed(&mut client, &question.path)?;
            let mut wanted = answers.totals;
            wanted += if wanted.events > 0 {
                added.of_usage()
            } else {
                added.of_costs()
            };
            let found = totals(results(&serde_json::from_slice(&answer)?));
            if found != wanted {
                bail!(
                    "{}: the answer has {found:?} instead of {wanted:?}",
                    question.name
                );
            }
            if repetition >= WARM_UP_COUNT {
                answers.times.push(time);
            }
        }
    }
    Ok(all)
}

/// Puts the question once.
pub fn first(client: &mut Client, question: &Question) -> Result<Answers> {
    let (answer, time) = timed(client, &question.path)?;
    let report: Value = serde_json::from_slice(&answer)?;
    Ok(Answers {
        times: Vec::new(),
        first: time,
        results: results(&report).count(),
        bytes: answer.len(),
        totals: totals(results(&report)),
    })
}

/// Returns the answer, and the microseconds to its last byte.
fn timed(client: &mut Client, path: &str) -> Result<(Vec<u8>, f64)> {
    let begun = instant();
    let answer = client.get(path)?;
    Ok((answer, begun.elapsed().as_secs_f64() * 1e6))
}

/// Sums the results of a report, or the rows of an answer of ClickHouse's.
pub fn totals<'a>(results: impl Iterator<Item = &'a Value>) -> Totals {
    let mut totals = Totals::default();
    for result in results {
        let number = |name: &str| result[name].as_u64().unwrap_or(0);
        totals += Totals {
            events: number("num_model_requests"),
            input: number("input_tokens"),
            cached: number("input_cached_tokens"),
            output: number("output_tokens"),
            nanos: nanos(&result["amount"]),
        };
    }
    totals
}

/// Rounds an amount to billionths of a dollar: an amount is the double that is nearest to a whole number of them.
fn nanos(amount: &Value) -> u64 {
    let value = amount["value"].as_f64().or(amount.as_f64());
    (value.unwrap_or(0.0) * 1e9).round() as u64
}

/// Fails unless the reports of all the time come to what was sent.
pub fn check(client: &mut Client, population: &Population, sent: &Totals) -> Result<()> {
    let Population { start, end, .. } = population;
    let mut all = Totals::default();
    for (path, limit) in [("usage/completions", 31), ("costs", 180)] {
        let path =
            format!("/v1/organization/{path}?start_time={start}&end_time={end}&limit={limit}");
        let mut page = String::new();
        loop {
            let report: Value = serde_json::from_slice(&client.get(&format!("{path}{page}"))?)?;
            all += totals(results(&report));
            let Some(next) = report["next_page"].as_str() else {
                break;
            };
            page = format!("&page={next}");
        }
    }
    if all != *sent {
        bail!("the reports have {all:?}, sent was {sent:?}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_kinds_of_answers_are_summed() {
        let usage = json!({ "num_model_requests": 2, "input_tokens": 30, "input_cached_tokens": 10, "output_tokens": 4 });
        let ours = json!({ "amount": { "value": 0.000000125 } });
        let theirs = json!({ "amount": 1234567.890123456 });
        let wanted = Totals {
            events: 2,
            input: 30,
            cached: 10,
            output: 4,
            nanos: 1_234_567_890_123_456 + 125,
        };
        assert_eq!(totals([usage, ours, theirs].iter()), wanted);
    }
}
