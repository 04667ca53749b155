//! A token bucket of failed authentications for each client, in memory of a fixed size.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use crate::client_address::ClientNetwork;

/// The failures that a client may have at once.
pub(crate) const BURST: u64 = 100;
/// The time after which a failure is forgotten, in milliseconds: ten in a second.
const REFILL_MILLISECONDS: u64 = 100;
/// The sets of buckets, and the buckets of a set: 8,192 clients are known at once.
const SETS: usize = 1_024;
const WAYS: usize = 8;
/// The keys that are known to have been good lately.
const GOOD_KEYS: usize = 16_384;

/// The buckets of all clients.
pub(crate) struct Throttle {
    began: Instant,
    hasher: RandomState,
    sets: Vec<Mutex<[Bucket; WAYS]>>,
    /// Marks of keys, each with the client that has used it; 0 where there is none.
    good: Vec<AtomicU64>,
    /// The moment at which the last bucket is full again, in milliseconds: until then clients are looked at.
    busy_until: AtomicU64,
}

/// The failures of a client.
#[derive(Clone, Copy, Default)]
struct Bucket {
    client: Option<ClientNetwork>,
    /// The moment at which the bucket is full again, in milliseconds.
    full_at: u64,
}

impl Throttle {
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            hasher: RandomState::new(),
            sets: (0..SETS).map(|_| Mutex::default()).collect(),
            good: (0..GOOD_KEYS).map(|_| AtomicU64::new(0)).collect(),
            busy_until: AtomicU64::new(0),
        }
    }

    /// Checks that a client may try `token`: its bucket is not empty, or the same client has used this key with success
    /// lately.
    ///
    /// # Errors
    /// The seconds after which it may try again.
    pub(crate) fn check(&self, address: IpAddr, token: &str) -> Result<(), u64> {
        let now = self.now();
        if self.busy_until.load(Ordering::Relaxed) <= now {
            return Ok(());
        }
        let client = ClientNetwork::of(address);
        let set = self.set(client).lock();
        let set = set.unwrap_or_else(PoisonError::into_inner);
        let bucket = set.iter().find(|bucket| bucket.client == Some(client));
        let full_at = bucket.map_or(0, |bucket| bucket.full_at);
        drop(set);
        // With one more failure, the bucket would be full only so much later.
        let allowed = now + BURST * REFILL_MILLISECONDS;
        let wait = (full_at + REFILL_MILLISECONDS).saturating_sub(allowed);
        if wait == 0 || self.is_good(client, token) {
            return Ok(());
        }
        Err(wait.div_ceil(1_000))
    }

    /// Takes note that a key was good.
    pub(crate) fn succeeded(&self, address: IpAddr, token: &str) {
        let mark = self.mark(ClientNetwork::of(address), token);
        let place = self.place(mark);
        if place.load(Ordering::Relaxed) != mark {
            place.store(mark, Ordering::Relaxed);
        }
    }

    /// Takes note that a key was not.
    pub(crate) fn failed(&self, address: IpAddr, token: &str) {
        let (now, client) = (self.now(), ClientNetwork::of(address));
        let mark = self.mark(client, token);
        let order = Ordering::Relaxed;
        // It may have been good before.
        let _ = self.place(mark).compare_exchange(mark, 0, order, order);
        let set = self.set(client).lock();
        let mut set = set.unwrap_or_else(PoisonError::into_inner);
        let known = set.iter().position(|bucket| bucket.client == Some(client));
        let fullest = || {
            let buckets = set.iter().enumerate();
            buckets.min_by_key(|(_, bucket)| bucket.full_at)
        };
        let place = known.or_else(|| fullest().map(|(place, _)| place));
        let bucket = &mut set[place.unwrap_or_default()];
        if known.is_none() {
            *bucket = Bucket {
                client: Some(client),
                full_at: now,
            };
        }
        // However many fail at the same moment, nobody waits for much longer than a bucket takes to fill.
        let latest = now + 2 * BURST * REFILL_MILLISECONDS;
        bucket.full_at = (bucket.full_at.max(now) + REFILL_MILLISECONDS).min(latest);
        self.busy_until.fetch_max(bucket.full_at, order);
    }

    fn is_good(&self, client: ClientNetwork, token: &str) -> bool {
        let mark = self.mark(client, token);
        self.place(mark).load(Ordering::Relaxed) == mark
    }

    fn mark(&self, client: ClientNetwork, token: &str) -> u64 {
        self.hasher.hash_one((client, token)).max(1)
    }

    fn place(&self, mark: u64) -> &AtomicU64 {
        &self.good[(mark % GOOD_KEYS as u64) as usize]
    }

    fn set(&self, client: ClientNetwork) -> &Mutex<[Bucket; WAYS]> {
        &self.sets[(self.hasher.hash_one(client) % SETS as u64) as usize]
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::advance;

    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    /// Tries wrong keys until one is not even looked at; how many were.
    fn guess(throttle: &Throttle, from: &str, tries: usize) -> usize {
        let from = address(from);
        (0..tries)
            .filter(|number| {
                let key = format!("sk-proj-{number}");
                let is_looked_at = throttle.check(from, &key).is_ok();
                if is_looked_at {
                    throttle.failed(from, &key);
                }
                is_looked_at
            })
            .count()
    }

    #[tokio::test(start_paused = true)]
    async fn s24_guesses_are_bounded_for_each_client() {
        let throttle = Throttle::new();
        assert_eq!(guess(&throttle, "192.0.2.1", 10_000), 100);
        assert_eq!(throttle.check(address("192.0.2.1"), "any"), Err(1));
        assert_eq!(
            throttle.check(address("192.0.2.2"), "any"),
            Ok(()),
            "another"
        );
        advance(Duration::from_secs(1)).await;
        assert_eq!(guess(&throttle, "192.0.2.1", 10_000), 10);
        advance(Duration::from_secs(60)).await;
        assert_eq!(guess(&throttle, "192.0.2.1", 10_000), 100);
        // A host has a whole /64 of IPv6.
        let hosts = (0..1_000).map(|host| format!("2001:db8::{host:x}"));
        let guesses: usize = hosts.map(|host| guess(&throttle, &host, 10)).sum();
        assert_eq!(guesses, 100);
        assert_eq!(guess(&throttle, "2001:db8:0:1::1", 1_000), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn s24_a_key_that_was_good_stays_good_while_others_guess_from_its_address() {
        let throttle = Throttle::new();
        let client = address("192.0.2.1");
        throttle.succeeded(client, "good");
        guess(&throttle, "192.0.2.1", 1_000);
        assert_eq!(throttle.check(client, "good"), Ok(()));
        assert!(throttle.check(client, "other").is_err());
        guess(&throttle, "192.0.2.3", 1_000);
        let elsewhere = throttle.check(address("192.0.2.3"), "good");
        assert!(elsewhere.is_err(), "it was good at another address");
        // Once it is refused, it is a guess like any other.
        throttle.failed(client, "good");
        assert!(throttle.check(client, "good").is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn s24_many_clients_take_no_more_memory_and_those_that_fail_most_are_kept() {
        let throttle = Throttle::new();
        guess(&throttle, "192.0.2.1", 1_000);
        for number in 0..100_000_u32 {
            let client = IpAddr::V4((0x0a00_0000 + number).into());
            throttle.failed(client, "guess");
        }
        assert!(throttle.check(address("192.0.2.1"), "any").is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn s24_nobody_waits_for_ever() {
        let throttle = Throttle::new();
        let client = address("192.0.2.1");
        // As when very many were under way at once.
        for _ in 0..100_000 {
            throttle.failed(client, "guess");
        }
        let wait = throttle.check(client, "any").expect_err("too many");
        assert!(wait <= 11, "{wait}");
        advance(Duration::from_secs(wait)).await;
        assert_eq!(throttle.check(client, "any"), Ok(()));
    }
}
