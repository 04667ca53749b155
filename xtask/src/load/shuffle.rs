//! A permutation of numbers that looks random and is the same at every run, without a table.

use super::dice::Dice;

/// Number of rounds of the Feistel network.
const ROUND_COUNT: u64 = 4;

/// A permutation of the numbers below a bound.
#[derive(Clone, Copy, Debug)]
pub struct Shuffle {
    count: u64,
    /// Bits of each half of a number.
    bits: u32,
}

impl Shuffle {
    /// Returns the permutation of the numbers below `count`.
    pub fn new(count: u64) -> Self {
        let bits = u64::BITS - count.saturating_sub(1).leading_zeros();
        Self {
            count,
            bits: bits.div_ceil(2).max(1),
        }
    }

    /// Returns the number at this place, below the bound.
    pub fn at(self, place: u64) -> u64 {
        let mut number = self.mixed(place);
        // The network permutes the numbers below a power of 4: those beyond the bound lead on to one below it.
        while number >= self.count {
            number = self.mixed(number);
        }
        number
    }

    fn mixed(self, number: u64) -> u64 {
        let mask = (1 << self.bits) - 1;
        let (mut left, mut right) = (number >> self.bits, number & mask);
        for round in 0..ROUND_COUNT {
            let key = Dice(right << 8 | round).roll() & mask;
            (left, right) = (right, left ^ key);
        }
        left << self.bits | right
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_has_one_place_far_from_its_neighbours() {
        for count in [1, 2, 1_000, 4_096, 10_007] {
            let shuffle = Shuffle::new(count);
            let all: Vec<u64> = (0..count).map(|place| shuffle.at(place)).collect();
            let mut sorted = all.clone();
            sorted.sort_unstable();
            assert!(sorted.into_iter().eq(0..count), "{count}");
            let near = all
                .windows(2)
                .filter(|pair| pair[0].abs_diff(pair[1]) < count / 20);
            assert!(near.count() as u64 <= count / 5, "{count}");
        }
    }
}
