//! The numbers of a row: one sum for each column that is present.

/// The number of columns that a row can have.
pub const MAX_COLUMNS: usize = Mask::BITS as usize;

/// The columns that are present, one bit for each. A column that was never reported is absent, which is not 0.
pub type Mask = u32;

/// The sums of a row by column, some of them absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amounts {
    mask: Mask,
    values: [i64; MAX_COLUMNS],
}

impl Amounts {
    /// Returns the mask of the columns that are present.
    #[must_use]
    pub fn mask(&self) -> Mask {
        self.mask
    }

    /// Returns the number of a column; `None` if it is absent.
    #[must_use]
    pub fn get(&self, column: usize) -> Option<i64> {
        (self.mask & 1 << column != 0).then(|| self.values[column])
    }

    /// Sets the number of a column.
    pub fn set(&mut self, column: usize, amount: i64) {
        self.mask |= 1 << column;
        self.values[column] = amount;
    }

    /// Adds `values`, one for each column of `mask` in order. Sums saturate.
    pub fn add(&mut self, mask: Mask, values: &[i64]) {
        self.mask |= mask;
        for (column, value) in columns(mask).zip(values) {
            self.values[column] = self.values[column].saturating_add(*value);
        }
    }

    /// Appends the numbers of the columns that are present to `out`, in order.
    pub fn push_to(&self, out: &mut Vec<i64>) {
        out.extend(columns(self.mask).map(|column| self.values[column]));
    }
}

/// Returns the columns of a mask, in order.
pub fn columns(mut mask: Mask) -> impl Iterator<Item = usize> {
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
    fn an_absent_column_is_not_zero() {
        let (mut sum, mut more) = (Amounts::default(), Amounts::default());
        sum.set(0, 3);
        more.set(0, 4);
        more.set(1, 0);
        let mut values = Vec::new();
        more.push_to(&mut values);
        assert_eq!(values, [4, 0]);
        sum.add(more.mask(), &values);
        values.clear();
        sum.push_to(&mut values);
        assert_eq!(
            (columns(sum.mask()).collect(), values),
            (vec![0, 1], vec![7, 0])
        );
        assert_eq!(sum.get(2), None);
    }

    #[test]
    fn every_bit_of_a_mask_is_a_column() {
        let mut sum = Amounts::default();
        sum.add(Mask::MAX, &[1; MAX_COLUMNS]);
        assert_eq!(sum.get(MAX_COLUMNS - 1), Some(1));
    }
}
