//! The one source of randomness: the operating system's, or a seeded one in tests.

use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

/// Where ids and secrets draw their random bytes from.
#[derive(Clone)]
pub struct Entropy(Source);

#[derive(Clone)]
enum Source {
    OperatingSystem,
    Seeded(Arc<Mutex<Seeded>>),
}

struct Seeded {
    seed: u64,
    drawn: u64,
}

impl Entropy {
    /// Random bytes of the operating system.
    #[must_use]
    pub fn operating_system() -> Self {
        Self(Source::OperatingSystem)
    }

    /// A reproducible sequence, for tests only: whoever knows the seed knows every secret drawn from it.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(Source::Seeded(Arc::new(Mutex::new(Seeded {
            seed,
            drawn: 0,
        }))))
    }

    /// `N` random bytes, at most 32 of them.
    ///
    /// # Panics
    /// When the operating system has no random bytes to give: nothing safe can be done without them.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that draws from the operating system"
    )]
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        const { assert!(N <= 32, "one draw gives at most 32 bytes") };
        let mut bytes = [0; N];
        match &self.0 {
            Source::OperatingSystem => {
                getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
            }
            Source::Seeded(state) => {
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
