//! Randomness: from the operating system, or seeded in tests. All other code draws random bytes here.

use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

/// A source of random bytes for ids and secrets.
#[derive(Clone)]
pub struct Entropy(EntropySource);

#[derive(Clone)]
enum EntropySource {
    OperatingSystem,
    Seeded(Arc<Mutex<SeededSequence>>),
}

struct SeededSequence {
    seed: u64,
    drawn: u64,
}

impl Entropy {
    /// Returns the operating system's source.
    #[must_use]
    pub fn operating_system() -> Self {
        Self(EntropySource::OperatingSystem)
    }

    /// Returns a source with a reproducible sequence, for tests only: the seed reveals every secret that is drawn.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(EntropySource::Seeded(Arc::new(Mutex::new(
            SeededSequence { seed, drawn: 0 },
        ))))
    }

    /// Draws `N` random bytes, at most 32.
    ///
    /// # Panics
    /// If the operating system has no random bytes: nothing safe can be done without them.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that draws from the operating system"
    )]
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        const { assert!(N <= 32, "one draw gives at most 32 bytes") };
        let mut bytes = [0; N];
        match &self.0 {
            EntropySource::OperatingSystem => {
                getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
            }
            EntropySource::Seeded(state) => {
                let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
                state.drawn += 1;
                let digest = Sha256::new()
                    .chain_update(state.seed.to_be_bytes())
                    .chain_update(state.drawn.to_be_bytes())
                    .finalize();
                bytes.copy_from_slice(&digest[..N]);
            }
        }
        bytes
    }
}
