//! Numbers that look random and are the same at every run.

/// The digits of ids.
const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Numbers that look random and follow from the first (SplitMix64); the first roll is another one for each start.
pub struct Dice(pub u64);

impl Dice {
    /// Draws any number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Draws 20 digits of 5 bits each: all bits of one roll, and some of another.
    pub fn digits(&mut self) -> [u8; 20] {
        let bits = u128::from(self.roll()) << 64 | u128::from(self.roll());
        let mut place = 128;
        [0; 20].map(|_: u8| {
            place -= 5;
            DIGITS[(bits >> place) as usize & 31]
        })
    }

    /// Draws a number below `count`.
    pub fn below(&mut self, count: u64) -> u64 {
        ((self.roll() >> 32) * count) >> 32
    }

    /// Draws the index of one of these shares.
    pub fn of(&mut self, shares: &[f64]) -> usize {
        let mut rest = self.below(1 << 30) as f64 / f64::from(1 << 30);
        let is_it = |share: &f64| {
            rest -= share;
            rest < 0.0
        };
        shares.iter().position(is_it).unwrap_or(0)
    }
}

/// Returns the shares of `count` items, of which the n-th is used an n-th as much as the first (Zipf's law).
pub fn shares(count: usize) -> Vec<f64> {
    let weights = (1..=count).map(|rank| 1.0 / rank as f64);
    let all: f64 = weights.clone().sum();
    weights.map(|weight| weight / all).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn rolls_are_spread_evenly_and_by_shares() {
        let (mut even, mut skewed) = ([0; 4], [0; 4]);
        let shares = shares(4);
        for number in 0..10_000 {
            even[usize::try_from(Dice(number).below(4)).unwrap()] += 1;
            skewed[Dice(number).of(&shares)] += 1;
        }
        assert!(
            even.iter().all(|count| (2_300..2_700).contains(count)),
            "{even:?}"
        );
        for (count, share) in skewed.iter().zip([0.48, 0.24, 0.16, 0.12]) {
            assert!(
                (f64::from(*count) / 10_000.0 - share).abs() < 0.02,
                "{skewed:?}"
            );
        }
    }

    #[test]
    fn digits_differ_for_each_start() {
        let all: HashSet<_> = (0..10_000).map(|number| Dice(number).digits()).collect();
        assert_eq!(all.len(), 10_000);
    }
}
