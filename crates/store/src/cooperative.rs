//! Cooperative scheduling of a thread that writes many rows: it yields the CPU to request threads, unless its own work
//! is past its deadline.

use std::cell::Cell;
use std::thread::yield_now;
use std::time::Duration;

use base::time::Stopwatch;

/// The shortest time between two yields of a thread.
const YIELD_INTERVAL: Duration = Duration::from_micros(50);
/// The number of items between two looks at the clock.
const MAX_ITEMS_PER_CHECK: usize = 16;

thread_local! {
    static LAST_YIELD: Cell<Option<Stopwatch>> = const { Cell::new(None) };
    static DEADLINE: Cell<Option<(Stopwatch, Duration)>> = const { Cell::new(None) };
}

/// Sets the deadline of the current thread's next work to `limit` after `since`. Past its deadline the thread does not
/// yield.
pub fn set_deadline(since: Stopwatch, limit: Duration) {
    DEADLINE.set(Some((since, limit)));
}

/// Yields the CPU at most once per 50 microseconds, and never once the deadline has passed.
pub fn yield_now_if_due() {
    let is_recent = |watch: Stopwatch| watch.elapsed() < YIELD_INTERVAL;
    let is_late = |(since, limit): (Stopwatch, Duration)| since.elapsed() > limit;
    if !LAST_YIELD.get().is_some_and(is_recent) && !DEADLINE.get().is_some_and(is_late) {
        yield_now();
        LAST_YIELD.set(Some(Stopwatch::start()));
    }
}

/// Wraps an iterator, calling [`yield_now_if_due`] after every 16 items.
pub fn yield_every<I: IntoIterator>(items: I) -> impl Iterator<Item = I::Item> {
    items.into_iter().enumerate().map(|(index, item)| {
        if index % MAX_ITEMS_PER_CHECK == MAX_ITEMS_PER_CHECK - 1 {
            yield_now_if_due();
        }
        item
    })
}
