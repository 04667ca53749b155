//! Chance that can be repeated: what a test does at random follows from a seed, which it prints.

use base::Entropy;

/// Clones draw from the same sequence.
#[derive(Clone)]
pub struct Dice(Entropy);

impl Dice {
    /// Seeded by `ORGPLANE_TEST_SEED`, else anew for each run. A failing test's output shows the seed.
    #[expect(
        clippy::print_stderr,
        reason = "the test's runner shows it when the test fails"
    )]
    pub fn thrown() -> Self {
        let seed = match std::env::var("ORGPLANE_TEST_SEED") {
            Ok(seed) => seed.parse().expect("ORGPLANE_TEST_SEED is a number"),
            Err(_) => u64::from_be_bytes(Entropy::operating_system().bytes()),
        };
        eprintln!("ORGPLANE_TEST_SEED={seed}");
        Self(Entropy::seeded(seed))
    }

    /// Creates a sequence that follows from this seed.
    pub fn seeded(seed: u64) -> Self {
        Self(Entropy::seeded(seed))
    }

    /// Picks one of these.
    pub fn pick<'a, T>(&self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }

    /// Picks one of these words.
    pub fn word<'a>(&self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len() as u64) as usize]
    }

    /// True once in so many throws.
    pub fn one_in(&self, throws: u64) -> bool {
        self.below(throws) == 0
    }

    /// A number below `bound`.
    pub fn below(&self, bound: u64) -> u64 {
        u64::from_be_bytes(self.0.bytes()) % bound
    }
}
