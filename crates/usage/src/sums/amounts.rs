//! What is summed: each metric, and quantity and amount of a bill's line.

use base::NanoDollars;

use crate::{Metric, Quantities};

/// How many numbers a sum can have.
pub(crate) const COLUMNS: usize = Metric::ALL.len() + 2;
/// Where the quantity of a line is.
pub(crate) const QUANTITY: usize = Metric::ALL.len();
/// Where the nano-dollars of a line are.
pub(crate) const AMOUNT: usize = QUANTITY + 1;

/// Which columns there are, one bit for each. What was never reported is not there, which is not 0.
pub(crate) type Mask = u32;

const _: () = assert!(COLUMNS <= Mask::BITS as usize);

/// The numbers of the columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Amounts {
    pub(crate) mask: Mask,
    values: [i64; COLUMNS],
}

impl Default for Amounts {
    fn default() -> Self {
        Self {
            mask: 0,
            values: [0; COLUMNS],
        }
    }
}

impl From<&Quantities> for Amounts {
    fn from(quantities: &Quantities) -> Self {
        let mut amounts = Self::default();
        for metric in Metric::ALL {
            if let Some(amount) = quantities.get(*metric) {
                amounts.set(*metric as usize, amount);
            }
        }
        amounts
    }
}

impl Amounts {
    /// Those of a line of a bill.
    pub(crate) fn of_line(quantity: i64, amount: NanoDollars) -> Self {
        let mut amounts = Self::default();
        amounts.set(QUANTITY, quantity);
        amounts.set(AMOUNT, amount.0);
        amounts
    }

    /// The number of a column; none when it is not there.
    pub(crate) fn get(&self, column: usize) -> Option<i64> {
        (self.mask & 1 << column != 0).then(|| self.values[column])
    }

    fn set(&mut self, column: usize, amount: i64) {
        self.mask |= 1 << column;
        self.values[column] = amount;
    }

    /// Adds numbers that stand for the columns of `mask`, in order.
    pub(crate) fn add(&mut self, mask: Mask, values: &[i64]) {
        self.mask |= mask;
        for (column, value) in columns(mask).zip(values) {
            self.values[column] = self.values[column].saturating_add(*value);
        }
    }

    /// Adds the numbers that are there to `out`, in order.
    pub(crate) fn push_to(&self, out: &mut Vec<i64>) {
        out.extend(columns(self.mask).map(|column| self.values[column]));
    }
}

/// The columns of a mask, in order.
pub(crate) fn columns(mut mask: Mask) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let column = mask.trailing_zeros();
        mask &= mask.checked_sub(1)?;
        Some(column as usize)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_is_not_zero() {
        let mut sum = Amounts::from(&Quantities::default().with(Metric::InputTokens, 3));
        let more = Quantities::default()
            .with(Metric::InputTokens, 4)
            .with(Metric::OutputTokens, 0);
        let (more, mut values) = (Amounts::from(&more), Vec::new());
        more.push_to(&mut values);
        assert_eq!(values, [4, 0]);
        sum.add(more.mask, &values);
        values.clear();
        sum.push_to(&mut values);
        assert_eq!(
            (columns(sum.mask).collect(), values),
            (vec![0, 1], vec![7, 0])
        );
    }
}
