//! The columns of the rollups: each metric, and the quantity and the amount of charges.

use rollup::{Amounts, MAX_COLUMNS};

use crate::{Charge, Metric, Quantities};

/// The number of metrics whose columns come before those of charges, in the order of [`Metric::ALL`]. Columns are stored
/// by their number, so those of later metrics come after the columns of charges.
const FIRST_METRICS_COUNT: usize = Metric::NumRequests as usize + 1;
/// The column of the quantity of charges.
pub(crate) const QUANTITY_ID: usize = FIRST_METRICS_COUNT;
/// The column of the amount of charges, in nano-dollars.
pub(crate) const AMOUNT_ID: usize = QUANTITY_ID + 1;

const _: () = assert!(column_of(Metric::InputCacheWrite12hTokens) < MAX_COLUMNS);

/// Returns the column of a metric that rollups have.
pub(crate) const fn column_of(metric: Metric) -> usize {
    let index = metric as usize;
    match index < FIRST_METRICS_COUNT {
        true => index,
        false => index + 2,
    }
}

/// Returns the columns of the metrics that were reported.
pub(crate) fn amounts_of(quantities: &Quantities) -> Amounts {
    let mut amounts = Amounts::default();
    for metric in Metric::ALL {
        if let Some(amount) = quantities.get(*metric)
            && !metric.is_for_prices()
        {
            amounts.set(column_of(*metric), amount);
        }
    }
    amounts
}

/// Returns the columns of a charge.
pub(crate) fn amounts_of_charge(charge: &Charge) -> Amounts {
    let mut amounts = Amounts::default();
    amounts.set(QUANTITY_ID, charge.quantity);
    amounts.set(AMOUNT_ID, charge.amount.0);
    amounts
}

/// Returns the name of a column for people.
pub(crate) fn column_name(column: usize) -> &'static str {
    match column {
        QUANTITY_ID => "quantity",
        AMOUNT_ID => "amount",
        column => {
            let mut metrics = Metric::ALL.iter();
            let metric = metrics.find(|metric| column_of(**metric) == column);
            metric.map_or("unknown", |metric| metric.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_that_was_not_reported_is_absent() {
        let quantities = Quantities::default()
            .with(Metric::InputTokens, 4)
            .with(Metric::OutputTokens, 0);
        let (amounts, mut values) = (amounts_of(&quantities), Vec::new());
        amounts.push_to(&mut values);
        assert_eq!(values, [4, 0]);
        assert_eq!(amounts.get(column_of(Metric::Images)), None);
    }

    #[test]
    fn columns_that_are_stored_keep_their_numbers() {
        for (metric, column) in [
            (Metric::InputTokens, 0),
            (Metric::NumRequests, 20),
            (Metric::InputCacheWrite30mTokens, 23),
            (Metric::InputCacheWrite12hTokens, 24),
        ] {
            assert_eq!(column_of(metric), column, "{metric:?}");
            assert_eq!(column_name(column), metric.as_str());
        }
        assert_eq!((QUANTITY_ID, AMOUNT_ID), (21, 22));
    }

    #[test]
    fn metrics_that_only_decide_on_prices_are_in_no_rollup() {
        let mut quantities = Quantities::default();
        for metric in Metric::ALL.iter().filter(|metric| metric.is_for_prices()) {
            quantities.set(*metric, 7);
        }
        assert_eq!(amounts_of(&quantities), Amounts::default());
    }
}
