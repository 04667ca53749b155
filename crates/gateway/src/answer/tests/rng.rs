//! A seeded random number generator.

/// A generator with the algorithm SplitMix64.
pub(super) struct Rng(u64);

impl Rng {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number from 0 to `most`.
    pub(super) fn up_to(&mut self, most: usize) -> usize {
        let range = most as u64 + 1;
        usize::try_from(self.next() % range).expect("no larger than `most`")
    }

    /// True with a probability of 1 in `times`.
    pub(super) fn once_in(&mut self, times: usize) -> bool {
        self.up_to(times - 1) == 0
    }

    pub(super) fn one<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.up_to(all.len() - 1)]
    }

    /// Returns a number of tokens: none, few or many.
    pub(super) fn amount(&mut self) -> i64 {
        let most = *self.one(&[0, 9, 5_000, 2_000_000_000]);
        i64::try_from(self.up_to(most)).expect("small")
    }

    pub(super) fn shuffle<T>(&mut self, all: &mut [T]) {
        for last in (1..all.len()).rev() {
            all.swap(last, self.up_to(last));
        }
    }
}
