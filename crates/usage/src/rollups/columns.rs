//! The columns of the rollups: each metric, and the quantity and the amount of charges.

use rollup::{Amounts, MAX_COLUMNS};

use crate::{Charge, Metric, Quantities};

/// The column of the quantity of charges.
pub(crate) const QUANTITY_ID: usize = Metric::ALL.len();
/// The column of the amount of charges, in nano-dollars.
pub(crate) const AMOUNT_ID: usize = QUANTITY_ID + 1;

const _: () = assert!(AMOUNT_ID < MAX_COLUMNS);

/// Returns the columns of the metrics that were reported.
pub(crate) fn amounts_of(quantities: &Quantities) -> Amounts {
    let mut amounts = Amounts::default();
    for metric in Metric::ALL {
        if let Some(amount) = quantities.get(*metric) {
            amounts.set(*metric as usize, amount);
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
        metric => Metric::ALL.get(metric).map_or("unknown", |it| it.as_str()),
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
        assert_eq!(amounts.get(Metric::Images as usize), None);
    }
}
