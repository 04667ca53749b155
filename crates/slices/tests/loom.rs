//! The limiter under every interleaving of its threads: `RUSTFLAGS="--cfg loom" cargo test -p slices --test loom`.
#![cfg(loom)]

use std::sync::Arc;

use loom::thread;
use slices::{Amounts, Descriptor, Limiter, Quantity, Request, Reservation, TimeBounds, Window};

/// A limiter of requests a minute.
#[derive(Clone)]
struct Requests {
    limiter: Arc<Limiter<1>>,
    limit: i64,
}

impl Requests {
    fn new(limit: i64) -> Self {
        let requests = Quantity {
            window: Window::MINUTE,
            category: None,
        };
        let limiter = Limiter::new([requests]);
        Self { limiter, limit }
    }

    fn reserve(&self, now: u64, names: &[&str]) -> Option<Reservation<1>> {
        let limits = [Some(self.limit)];
        let descriptors = names.iter().map(|name| Descriptor { name, limits });
        let descriptors: Vec<Descriptor<'_, 1>> = descriptors.collect();
        let request = Request::from(Amounts::default().with(0, 1));
        let (reservation, _) =
            self.limiter
                .reserve(TimeBounds::exact(now), "proj_1", &descriptors, &request);
        reservation.ok()
    }

    fn is_admitted(&self, now: u64, names: &[&str]) -> bool {
        self.reserve(now, names).map(Reservation::forfeit).is_some()
    }

    /// Returns the number of further requests that are admitted.
    fn remaining(&self, now: u64, name: &str) -> usize {
        let more = std::iter::from_fn(|| self.reserve(now, &[name]));
        more.map(Reservation::forfeit).count()
    }
}

#[test]
fn concurrent_requests_are_admitted_up_to_the_limit() {
    loom::model(|| {
        let requests = Requests::new(2);
        let others = [1, 2].map(|now| {
            let requests = requests.clone();
            thread::spawn(move || requests.is_admitted(now, &["m"]))
        });
        let own = requests.is_admitted(0, &["m"]);
        let admitted = others.map(|other| other.join().expect("a thread"));
        let admitted = admitted.into_iter().chain([own]);
        assert_eq!(admitted.filter(|admitted| *admitted).count(), 2);
        assert_eq!(requests.remaining(60_999, "m"), 0);
    });
}

#[test]
fn two_names_are_reserved_together_in_any_order() {
    loom::model(|| {
        let requests = Requests::new(1);
        let other = {
            let requests = requests.clone();
            thread::spawn(move || requests.is_admitted(0, &["alias", "real"]))
        };
        let own = requests.is_admitted(0, &["real", "alias"]);
        assert!(own != other.join().expect("a thread"));
        let remaining = (
            requests.remaining(0, "real"),
            requests.remaining(0, "alias"),
        );
        assert_eq!(remaining, (0, 0));
    });
}

#[test]
fn reservation_is_released_exactly_once() {
    loom::model(|| {
        let requests = Requests::new(3);
        let [dropped, settled, forfeited] =
            [(); 3].map(|()| requests.reserve(0, &["m"]).expect("room"));
        let first = thread::spawn(move || drop(dropped));
        let second =
            thread::spawn(move || settled.settle(TimeBounds::exact(2_000), &Amounts::zero()));
        forfeited.forfeit();
        // Only what the two threads have refunded by now can be taken again.
        let taken = requests.remaining(1_000, "m");
        assert!(taken <= 2);
        first.join().expect("a thread");
        second.join().expect("a thread");
        assert_eq!(taken + requests.remaining(1_000, "m"), 2);
    });
}
