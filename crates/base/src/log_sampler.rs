//! Sampling of log lines about frequent events.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::time::Stopwatch;

/// Interval within which a frequent event is logged once, in milliseconds.
const SAMPLE_INTERVAL: u64 = 10_000;

/// Sampler that admits a frequent log line once per interval and counts the suppressed ones.
pub struct LogSampler {
    watch: Stopwatch,
    /// Time of the next admitted line, in milliseconds on `watch`.
    next: AtomicU64,
    suppressed: AtomicU64,
}

impl LogSampler {
    /// Starts the first interval.
    #[must_use]
    pub fn start() -> Self {
        Self {
            watch: Stopwatch::start(),
            next: AtomicU64::new(0),
            suppressed: AtomicU64::new(0),
        }
    }

    /// Returns the number of lines suppressed since the last admitted one; `None` if this line must be suppressed.
    pub fn admit(&self) -> Option<u64> {
        self.admit_at(self.watch.milliseconds())
    }

    fn admit_at(&self, now: u64) -> Option<u64> {
        let relaxed = Ordering::Relaxed;
        let next = |next: u64| (next <= now).then_some(now + SAMPLE_INTERVAL);
        if self.next.fetch_update(relaxed, relaxed, next).is_err() {
            self.suppressed.fetch_add(1, relaxed);
            return None;
        }
        Some(self.suppressed.swap(0, relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s14_a_line_that_comes_often_is_logged_once_per_interval() {
        let sampled = LogSampler::start();
        assert_eq!(sampled.admit(), Some(0));
        for _ in 0..1_000 {
            assert_eq!(sampled.admit(), None);
        }
        sampled.next.store(0, Ordering::Relaxed);
        assert_eq!(sampled.admit(), Some(1_000));
        assert_eq!(sampled.admit(), None);
    }

    #[test]
    fn s25_outage_is_logged_once_per_interval() {
        let sampled = LogSampler::start();
        for second in 0..25 {
            let expected = match second {
                0 => Some(0),
                10 | 20 => Some(9),
                _ => None,
            };
            assert_eq!(sampled.admit_at(second * 1_000), expected, "{second}");
        }
    }
}
