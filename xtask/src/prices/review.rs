//! Prices of the map that look odd, for the person who reviews the import.

use super::amount::Amount;
use super::condition::Condition;
use super::public_map::PublicMap;
use super::table::Price;

/// The factor of batches and of the tier `flex`.
const HALF: Amount = Amount(500_000_000);
/// The factor of long requests on their input.
const DOUBLE: Amount = Amount(2_000_000_000);
/// The factor of long requests on their output.
const ONE_AND_A_HALF: Amount = Amount(1_500_000_000);

/// Lists the prices whose ratio to the plain one is not the usual one: a half for batches and `flex`, more than 1 for
/// other tiers, twice the input and one and a half times the output of a long request.
pub fn odd_prices(map: &PublicMap) -> Vec<String> {
    let mut odd = Vec::new();
    for (name, model) in &map.models {
        let all = model.cells.iter();
        for (condition, key, price) in
            all.flat_map(|(cell, all)| all.iter().map(move |(key, price)| (cell, key, price)))
        {
            let prices = model.cells.get(&plain(condition));
            let plain = prices.and_then(|prices| prices.get(key));
            if let (Price::One(price), Some(Price::One(plain))) = (price, plain)
                && !is_usual(condition, key, price.ratio_to(*plain))
            {
                odd.push(format!(
                    "{name}: {key} is {price} where {condition}, {plain} otherwise"
                ));
            }
        }
    }
    odd
}

/// Returns the condition that a price is compared with: without batch and tier, or else without the length of the input.
fn plain(condition: &Condition) -> Condition {
    let mut plain = condition.clone();
    if condition.batch || condition.service_tier.is_some() {
        plain.batch = false;
        plain.service_tier = None;
    } else {
        plain.above_input_tokens = None;
    }
    plain
}

fn is_usual(condition: &Condition, key: &str, ratio: Option<Amount>) -> bool {
    let is_half = condition.batch || condition.service_tier.as_deref() == Some("flex");
    match condition {
        _ if is_half => ratio == Some(HALF),
        Condition {
            service_tier: Some(_),
            ..
        } => ratio.is_none_or(|ratio| ratio > Amount::ONE),
        Condition {
            above_input_tokens: Some(_),
            ..
        } if key.starts_with("output") => ratio == Some(ONE_AND_A_HALF),
        Condition {
            above_input_tokens: Some(_),
            ..
        } => ratio == Some(DOUBLE),
        _ => true,
    }
}
