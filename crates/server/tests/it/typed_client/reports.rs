//! Usage and costs, which must agree with what the model server reported.

use std::collections::BTreeMap;

use async_openai::traits::RequestOptionsBuilder;
use async_openai::types::admin::usage::{UsageResponse, UsageResult};

use super::Run;
use crate::model_server::PRICES;
use crate::reports::{Sums, nano_dollars, now};

impl Run {
    /// Usage by model and key is what was reported, to the token.
    pub(super) async fn check_usage(&self, project: &str) {
        let hour = (now() - 3_600).to_string();
        let query = [
            ("start_time", hour.as_str()),
            ("bucket_width", "1h"),
            ("project_ids", project),
            ("group_by", "model"),
            ("group_by", "api_key_id"),
        ];
        let admin = self.admin.admin();
        let read = async || {
            let usage = admin
                .usage()
                .query(&query)
                .expect("a query")
                .completions()
                .await;
            by_model_and_key(usage.expect("usage"))
        };
        poll::until("the report has the usage of the gateway", async || {
            read().await == self.reported
        })
        .await;
    }

    /// Costs by line item are price × tokens, exactly.
    pub(super) async fn check_costs(&self, project: &str) {
        let day = (now() - 86_400).to_string();
        let query = [
            ("start_time", day.as_str()),
            ("project_ids", project),
            ("group_by", "line_item"),
        ];
        let admin = self.admin.admin();
        let costs = admin.usage().query(&query).expect("a query").costs().await;
        let mut found = BTreeMap::new();
        for result in results(costs.expect("costs")) {
            let UsageResult::Costs(cost) = result else {
                panic!("{result:?} is no cost")
            };
            assert_eq!(cost.amount.currency, "usd");
            let line = cost.line_item.expect("grouped by line item");
            let sum = found.entry(line).or_insert((0, 0));
            sum.0 += cost.quantity.expect("grouped by line item") as i64;
            sum.1 += nano_dollars(cost.amount.value);
        }
        found.retain(|_, (quantity, _)| *quantity != 0);
        assert_eq!(found, self.expected_costs());
    }

    /// Tokens and nano-dollars by line item.
    fn expected_costs(&self) -> BTreeMap<String, (i64, i64)> {
        let mut expected = BTreeMap::new();
        for price in &PRICES {
            let of_model = self
                .reported
                .iter()
                .filter(|((model, _), _)| model == price.model);
            let sums: Sums = of_model.map(|(_, sums)| *sums).sum();
            let tokens = [sums.input - sums.cached, sums.cached, sums.output];
            let names = ["input", "input_cached", "output"];
            for ((name, tokens), each) in names.iter().zip(tokens).zip(price.nano_dollars) {
                if tokens != 0 {
                    let line = format!("{}, {name}_tokens", price.model);
                    expected.insert(line, (tokens, tokens * each));
                }
            }
        }
        expected
    }
}

fn results(report: UsageResponse) -> impl Iterator<Item = UsageResult> {
    assert!(!report.has_more);
    report.data.into_iter().flat_map(|bucket| bucket.results)
}

fn by_model_and_key(usage: UsageResponse) -> BTreeMap<(String, String), Sums> {
    let mut found: BTreeMap<_, Sums> = BTreeMap::new();
    for result in results(usage) {
        let UsageResult::Completions(row) = result else {
            panic!("{result:?} is no usage of completions")
        };
        let number = |amount: u64| i64::try_from(amount).expect("a number of tokens");
        let group = (
            row.model.expect("grouped by model"),
            row.api_key_id.expect("and by key"),
        );
        *found.entry(group).or_default() += Sums {
            requests: number(row.num_model_requests),
            input: number(row.input_tokens),
            cached: number(row.input_cached_tokens.unwrap_or(0)),
            output: number(row.output_tokens),
        };
    }
    found
}
