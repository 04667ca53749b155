//! Hashes of passwords: argon2id, on threads for blocking work, as many at once as there are cores.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, CustomizedPasswordHasher, Params, PasswordHasher, Version};
use base::{Entropy, Error, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zeroize::Zeroizing;

use crate::common_passwords;

/// The least number of characters of a password.
pub const MIN_PASSWORD_LENGTH: usize = 12;
/// The most characters of a password.
pub const MAX_PASSWORD_LENGTH: usize = 256;
/// Memory of one hash: 19 MiB, the minimum that OWASP recommends with two passes.
const MEMORY_BYTES: u32 = 19 * 1024 * 1024;
const BYTES_PER_KIB: u32 = 1024;
const PASSES_COUNT: u32 = 2;
const LANES_COUNT: u32 = 1;
const SALT_BYTES: usize = 16;
/// The most checks that wait for a core.
const QUEUE_CAPACITY: usize = 64;
const BUSY_RETRY_SECONDS: u64 = 2;

/// Hashing of passwords, bounded in memory: as many hashes at once as there are cores.
#[derive(Clone)]
pub(crate) struct Passwords {
    cores: Arc<Semaphore>,
    queue: Arc<Semaphore>,
    checks: Arc<AtomicU64>,
}

impl Default for Passwords {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            cores: Arc::new(Semaphore::new(cores)),
            queue: Arc::new(Semaphore::new(cores + QUEUE_CAPACITY)),
            checks: Arc::default(),
        }
    }
}

/// The hash that stands for users who have no password, so that an unknown address takes as long as a wrong password.
static DECOY: OnceLock<String> = OnceLock::new();

impl Passwords {
    /// Returns for each of these hashes, in the PHC string format, true if the password has it. Hashes with the same salt
    /// take as long as one. Without any hash, takes as long as one, too.
    ///
    /// # Errors
    /// 503: too many checks wait.
    pub(crate) async fn verify(
        &self,
        password: &Zeroizing<String>,
        hashes: Vec<String>,
    ) -> Result<Vec<bool>> {
        let password = Zeroizing::new(password.as_str().to_owned());
        let checks = Arc::clone(&self.checks);
        self.run(move || {
            if hashes.is_empty() {
                checks.fetch_add(1, Ordering::Relaxed);
                let decoy = PasswordHash::new(decoy()?).map_err(|_| broken_hash())?;
                hash_like(&decoy, &password)?;
                return Ok(Vec::new());
            }
            let mut made: Vec<PasswordHash> = Vec::new();
            let mut outcomes = Vec::with_capacity(hashes.len());
            for hash in &hashes {
                let hash = PasswordHash::new(hash).map_err(|_| broken_hash())?;
                let is_alike = |made: &&PasswordHash| {
                    made.salt == hash.salt
                        && made.params == hash.params
                        && made.algorithm == hash.algorithm
                        && made.version == hash.version
                };
                let output = match made.iter().find(is_alike) {
                    Some(made) => made.hash,
                    None => {
                        checks.fetch_add(1, Ordering::Relaxed);
                        made.push(hash_like(&hash, &password)?);
                        made.last().and_then(|made| made.hash)
                    }
                };
                // Outputs are compared in constant time.
                outcomes.push(output.is_some() && output == hash.hash);
            }
            Ok(outcomes)
        })
        .await
    }

    /// Returns the hash of a password, in the PHC string format. The salt is that of `others`, the hashes that the same
    /// address has in other organizations, so that a sign-in takes as long for them all as for one; a new one without any.
    ///
    /// # Errors
    /// 503: too many checks wait.
    pub(crate) async fn hash(
        &self,
        password: &Zeroizing<String>,
        others: &[String],
        entropy: &Entropy,
    ) -> Result<String> {
        let password = Zeroizing::new(password.as_str().to_owned());
        let salt = others.iter().find_map(|hash| salt_of(hash));
        let salt = salt.unwrap_or_else(|| entropy.bytes::<SALT_BYTES>().to_vec());
        self.run(move || hash(&password, &salt)).await
    }

    /// Returns the number of checks since the start.
    pub(crate) fn checks(&self) -> u64 {
        self.checks.load(Ordering::Relaxed)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let queued = Arc::clone(&self.queue).try_acquire_owned();
        let queued = queued.map_err(|_| busy())?;
        let core = Arc::clone(&self.cores).acquire_owned().await;
        let core: OwnedSemaphorePermit = core.map_err(|_| busy())?;
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop((core, queued));
            done
        });
        done.await.map_err(|_| Error::internal())?
    }
}

fn busy() -> Error {
    Error::overloaded(
        "Too many people sign in at this moment. Try again in a few seconds.",
        BUSY_RETRY_SECONDS,
    )
}

fn broken_hash() -> Error {
    tracing::error!("stored password hash unreadable");
    Error::internal()
}

fn hasher() -> Result<Argon2<'static>> {
    let params = Params::new(
        MEMORY_BYTES / BYTES_PER_KIB,
        PASSES_COUNT,
        LANES_COUNT,
        None,
    );
    let params = params.map_err(|_| Error::internal())?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash(password: &str, salt: &[u8]) -> Result<String> {
    let hash = hasher()?.hash_password_with_salt(password.as_bytes(), salt);
    let hash = hash.map_err(|error| {
        tracing::error!(%error, "password could not be hashed");
        Error::internal()
    })?;
    Ok(hash.to_string())
}

/// Returns the hash of a password with the salt and the parameters of another hash.
fn hash_like(other: &PasswordHash, password: &str) -> Result<PasswordHash> {
    let params = Params::try_from(other).map_err(|_| broken_hash())?;
    let salt = other.salt.as_ref().ok_or_else(broken_hash)?;
    let made = hasher()?.hash_password_customized(
        password.as_bytes(),
        salt,
        Some(other.algorithm.as_str()),
        other.version,
        params,
    );
    made.map_err(|_| broken_hash())
}

/// Returns the salt of a hash.
fn salt_of(hash: &str) -> Option<Vec<u8>> {
    let salt = PasswordHash::new(hash).ok()?.salt?;
    Some(salt.to_vec())
}

fn decoy() -> Result<&'static str> {
    if let Some(decoy) = DECOY.get() {
        return Ok(decoy);
    }
    let made = hash("no password has this hash", &[0; SALT_BYTES])?;
    Ok(DECOY.get_or_init(|| made))
}

/// Checks that a new password is long enough and not one that everybody tries.
///
/// # Errors
/// The fault, as a sentence.
pub(crate) fn check_new(password: &str, email: &str) -> Result<(), String> {
    let length = password.chars().count();
    if length < MIN_PASSWORD_LENGTH {
        return Err(format!(
            "Use at least {MIN_PASSWORD_LENGTH} characters. A few words that do not belong together are easy to remember."
        ));
    }
    if length > MAX_PASSWORD_LENGTH {
        return Err(format!("Use at most {MAX_PASSWORD_LENGTH} characters."));
    }
    if common_passwords::contains(password) || is_address(password, email) {
        return Err(
            "This password is among those that attackers try first. Choose another one.".to_owned(),
        );
    }
    Ok(())
}

/// True if a password is the user's address, with or without its domain and something at the end.
fn is_address(password: &str, email: &str) -> bool {
    let (password, email) = (password.to_lowercase(), email.to_lowercase());
    let local = email.split('@').next().unwrap_or_default();
    let words = [email.as_str(), local];
    words.iter().filter(|word| word.len() >= 4).any(|word| {
        let rest = password.replace(word, "");
        rest.chars().filter(|c| c.is_alphabetic()).count() < 4 && password.contains(word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Zeroizing<String> {
        Zeroizing::new(text.to_owned())
    }

    #[tokio::test]
    async fn password_is_verified_by_its_hash_only() {
        let passwords = Passwords::default();
        let entropy = Entropy::seeded(1);
        let right = secret("correct horse battery");
        let hash = async |others: &[String]| {
            let made = passwords.hash(&right, others, &entropy).await;
            made.expect("a hash")
        };
        let (one, other) = (hash(&[]).await, hash(&[]).await);
        assert_ne!(one, other, "each has its own salt");
        assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{one}");
        let verify = async |password: &str, hashes: &[&String]| {
            let hashes = hashes.iter().map(|hash| (*hash).clone()).collect();
            let verified = passwords.verify(&secret(password), hashes).await;
            verified.expect("an answer")
        };
        let right = "correct horse battery";
        assert_eq!(verify(right, &[&one, &other]).await, [true, true]);
        assert_eq!(verify("correct horse batterx", &[&one]).await, [false]);
        assert_eq!(verify("", &[&one]).await, [false]);
        assert!(verify("no password has this hash", &[]).await.is_empty());
    }

    #[tokio::test]
    async fn passwords_of_one_address_take_as_long_as_one() {
        let passwords = Passwords::default();
        let entropy = Entropy::seeded(1);
        let mut hashes: Vec<String> = Vec::new();
        for password in [
            "correct horse battery",
            "another long one",
            "and a third one",
        ] {
            let made = passwords.hash(&secret(password), &hashes, &entropy).await;
            hashes.push(made.expect("a hash"));
        }
        let verified = passwords.verify(&secret("another long one"), hashes).await;
        assert_eq!(verified.expect("an answer"), [false, true, false]);
        assert_eq!(passwords.checks(), 1);
        let nobody = passwords
            .verify(&secret("another long one"), Vec::new())
            .await;
        assert!(nobody.expect("an answer").is_empty());
        assert_eq!(passwords.checks(), 2);
    }

    #[tokio::test]
    async fn number_of_waiting_checks_is_bounded() {
        let passwords = Passwords::default();
        let _cores = passwords.cores.acquire_many(1).await.expect("a core");
        let all = passwords.queue.available_permits();
        let all = u32::try_from(all).expect("a few");
        let _queue = passwords.queue.try_acquire_many(all).expect("all places");
        let refused = passwords.verify(&secret("x"), Vec::new()).await;
        let refused = refused.expect_err("no place");
        assert_eq!(refused.status.as_u16(), 503);
        assert!(refused.retry_after.is_some());
    }

    #[test]
    fn short_long_common_and_personal_passwords_are_refused() {
        for bad in [
            "short",
            "elevenchars",
            "password1234",
            "PASSWORD1234",
            "qwertyqwerty",
            "123456123456",
            "sunshine20245",
            "ada.lovelace1",
            "2026ada.lovelace!",
            &"x".repeat(MAX_PASSWORD_LENGTH + 1),
        ] {
            let checked = check_new(bad, "ada.lovelace@acme.example");
            assert!(checked.is_err(), "{bad}");
        }
        assert!(check_new("ada@acme.example", "ada@acme.example").is_err());
        for good in [
            "correct horse battery",
            "elf Zeichen ü",
            "sunshine on my shoulders",
            "ada.lovelace wrote notes",
        ] {
            assert_eq!(
                check_new(good, "ada.lovelace@acme.example"),
                Ok(()),
                "{good}"
            );
        }
    }
}
