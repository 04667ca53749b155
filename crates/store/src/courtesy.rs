//! A thread that writes many rows may share its core with requests: these go first, unless what it has to write is late.

use std::cell::Cell;
use std::thread::yield_now;
use std::time::Duration;

use base::time::Stopwatch;

/// How long is worked before requests that wait for this core go first.
const AT_ONCE: Duration = Duration::from_micros(50);
/// After how many items it is looked whether it was so long.
const LOOK: usize = 16;

thread_local! {
    static ASIDE: Cell<Option<Stopwatch>> = const { Cell::new(None) };
    static PATIENCE: Cell<Option<(Stopwatch, Duration)>> = const { Cell::new(None) };
}

/// What this thread writes next came at `since`, and is late after so long: then it steps aside for nobody.
pub fn late_after(since: Stopwatch, patience: Duration) {
    PATIENCE.set(Some((since, patience)));
}

/// Lets requests that wait for this core go first, unless they just did, or what this thread writes is late.
pub fn step_aside() {
    let just_did = |watch: Stopwatch| watch.elapsed() < AT_ONCE;
    let is_late = |(since, patience): (Stopwatch, Duration)| since.elapsed() > patience;
    if !ASIDE.get().is_some_and(just_did) && !PATIENCE.get().is_some_and(is_late) {
        yield_now();
        ASIDE.set(Some(Stopwatch::start()));
    }
}

/// The same items; among them this thread steps aside.
pub fn courteous<I: IntoIterator>(items: I) -> impl Iterator<Item = I::Item> {
    items.into_iter().enumerate().map(|(place, item)| {
        if place % LOOK == LOOK - 1 {
            step_aside();
        }
        item
    })
}
