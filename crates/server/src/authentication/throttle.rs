//! Token bucket of failed authentications per client, with a fixed memory footprint.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use crate::client_address::ClientNetwork;

/// Burst: number of failures that a client may have at once.
pub(crate) const MAX_FAILURES: u64 = 100;
/// Refill interval of one token, in milliseconds.
const REFILL_INTERVAL: u64 = 100;
/// Number of sets of the set-associative table of buckets; with `BUCKETS_PER_SET`, 8,192 clients.
const SET_COUNT: usize = 1_024;
const BUCKETS_PER_SET: usize = 8;
/// Number of recently successful keys remembered.
const GOOD_KEY_CAPACITY: usize = 16_384;

/// Token buckets of all clients.
pub(crate) struct Throttle {
    began: Instant,
    hasher: RandomState,
    sets: Vec<Mutex<[Bucket; BUCKETS_PER_SET]>>,
    /// Fingerprints of client and key that succeeded recently; 0 for a free slot.
    good: Vec<AtomicU64>,
    /// Time at which every bucket is full again, in milliseconds; until then clients are checked.
    busy_until: AtomicU64,
}

/// Token bucket of a client.
#[derive(Clone, Copy, Default)]
struct Bucket {
    client: Option<ClientNetwork>,
    /// Time at which the bucket is full again, in milliseconds.
    full_at: u64,
}

impl Throttle {
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            hasher: RandomState::new(),
            sets: (0..SET_COUNT).map(|_| Mutex::default()).collect(),
            good: (0..GOOD_KEY_CAPACITY).map(|_| AtomicU64::new(0)).collect(),
            busy_until: AtomicU64::new(0),
        }
    }

    /// Checks that a client may try `token`: its bucket has a token, or the key succeeded recently for the same
    /// client.
    ///
    /// # Errors
    /// The number of seconds until the next attempt.
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
        // Time at which the bucket would be full after one more failure.
        let allowed = now + MAX_FAILURES * REFILL_INTERVAL;
        let wait = (full_at + REFILL_INTERVAL).saturating_sub(allowed);
        if wait == 0 || self.is_good(client, token) {
            return Ok(());
        }
        Err(wait.div_ceil(1_000))
    }

    /// Records a success.
    pub(crate) fn succeeded(&self, address: IpAddr, token: &str) {
        let mark = self.mark(ClientNetwork::of(address), token);
        let place = self.place(mark);
        if place.load(Ordering::Relaxed) != mark {
            place.store(mark, Ordering::Relaxed);
        }
    }

    /// Records a failure.
    pub(crate) fn failed(&self, address: IpAddr, token: &str) {
        let (now, client) = (self.now(), ClientNetwork::of(address));
        let mark = self.mark(client, token);
        let order = Ordering::Relaxed;
        // The key may have succeeded before.
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
        // Concurrent failures cannot lock a client out for much longer than one full refill.
        let latest = now + 2 * MAX_FAILURES * REFILL_INTERVAL;
        bucket.full_at = (bucket.full_at.max(now) + REFILL_INTERVAL).min(latest);
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
        &self.good[(mark % GOOD_KEY_CAPACITY as u64) as usize]
    }

    fn set(&self, client: ClientNetwork) -> &Mutex<[Bucket; BUCKETS_PER_SET]> {
        &self.sets[(self.hasher.hash_one(client) % SET_COUNT as u64) as usize]
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

    /// Tries wrong keys and returns the number that were checked.
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
