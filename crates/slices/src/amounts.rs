//! Amounts of the quantities that a limiter counts.

/// The largest amount that is counted. A larger one is a mistake of its sender, and must not overflow a sum.
const MAX_AMOUNT: i64 = 1 << 40;

/// An amount of each of `N` quantities; absent where it is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amounts<const N: usize>([Option<i64>; N]);

impl<const N: usize> Default for Amounts<N> {
    fn default() -> Self {
        Self([None; N])
    }
}

impl<const N: usize> Amounts<N> {
    /// Returns zero of every quantity.
    #[must_use]
    pub fn zero() -> Self {
        Self([Some(0); N])
    }

    /// Returns the amount of a quantity, if it is known.
    #[must_use]
    pub fn get(&self, quantity: usize) -> Option<i64> {
        self.0[quantity]
    }

    /// Sets the amount of a quantity, clamped to what a sum can hold.
    pub fn set(&mut self, quantity: usize, amount: i64) {
        self.0[quantity] = Some(amount.clamp(0, MAX_AMOUNT));
    }

    /// Returns these amounts with another one of a quantity.
    #[must_use]
    pub fn with(mut self, quantity: usize, amount: i64) -> Self {
        self.set(quantity, amount);
        self
    }
}

/// The amounts that a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<const N: usize> {
    /// The amounts to reserve.
    pub amounts: Amounts<N>,
    /// The part of each amount that is an estimate beyond what the request needs. It is cut to the limit: a request is refused
    /// for good only if the rest exceeds the limit.
    pub optional: [i64; N],
}

impl<const N: usize> From<Amounts<N>> for Request<N> {
    fn from(amounts: Amounts<N>) -> Self {
        Self {
            amounts,
            optional: [0; N],
        }
    }
}

impl<const N: usize> Request<N> {
    /// Returns the amount of a quantity that the request needs at least.
    pub(crate) fn minimum(&self, quantity: usize) -> i64 {
        let amount = self.amounts.get(quantity).unwrap_or(0);
        amount - self.optional[quantity].min(amount)
    }
}
