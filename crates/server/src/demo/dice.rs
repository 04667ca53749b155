//! Chance of the demo, the same at every start.

/// Linear congruential generator with a fixed seed.
pub(super) struct Dice(u64);

impl Dice {
    /// Returns dice whose throws follow from `seed`.
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn roll(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    /// Returns a number from 0 to below `bound`, which is positive.
    pub(super) fn below(&mut self, bound: i64) -> i64 {
        i64::try_from(self.roll()).unwrap_or(0) % bound
    }

    /// Returns `mean`, give or take a fraction of it.
    pub(super) fn around(&mut self, mean: f64, fraction: f64) -> f64 {
        let share = self.below(20_001) as f64 / 10_000.0 - 1.0;
        mean * (1.0 + share * fraction)
    }

    /// Rounds an expected count up or down by chance, so that many of them add up to what is expected.
    pub(super) fn count(&mut self, expected: f64) -> i64 {
        let whole = expected.floor();
        let is_up = (self.below(10_000) as f64) < (expected - whole) * 10_000.0;
        whole as i64 + i64::from(is_up)
    }
}
