//! A store without faults, and requests to nodes that use it.

use std::collections::HashMap;
use std::sync::Arc;

use slices::{
    Amounts, Category, Denial, Descriptor, Limiter, Quantity, Request, Reservation, Safeguards,
    Session, SwapAnswer, SwapCall, TimeBounds, Window,
};

pub const TENANT: &str = "proj_1";
pub const QUANTITIES: [Quantity; 2] = [
    Quantity {
        window: Window::MINUTE,
        category: Some(Category::Requests),
    },
    Quantity {
        window: Window::DAY,
        category: Some(Category::Tokens),
    },
];

pub type Limits = [Option<i64>; 2];

/// A time, known exactly or within bounds.
#[derive(Clone, Copy)]
pub struct Moment(pub TimeBounds);

impl From<u64> for Moment {
    fn from(now: u64) -> Self {
        Self(TimeBounds::exact(now))
    }
}

impl From<(u64, u64)> for Moment {
    fn from((lo, hi): (u64, u64)) -> Self {
        Self(TimeBounds { lo, hi })
    }
}

/// A store without faults.
#[derive(Default)]
pub struct Store {
    pub rows: HashMap<Arc<str>, (u64, Vec<u8>)>,
}

impl Store {
    pub fn swap(&mut self, call: &SwapCall) -> SwapAnswer {
        let row = self.rows.get(&call.name);
        let version = row.map_or(0, |(version, _)| *version);
        match &call.blob {
            Some(blob) if version == call.version => {
                let row = (version + 1, blob.clone());
                self.rows.insert(Arc::clone(&call.name), row);
                SwapAnswer::Swapped {
                    version: version + 1,
                }
            }
            _ => SwapAnswer::Present {
                version,
                blob: row.map_or_else(Vec::new, |(_, blob)| blob.clone()),
            },
        }
    }

    /// Answers all calls until there are none.
    pub fn serve<S: Safeguards>(
        &mut self,
        node: &Arc<Limiter<2, S>>,
        time: TimeBounds,
        calls: Vec<SwapCall>,
    ) {
        for call in calls {
            let mut call = Some(call);
            while let Some(current) = call {
                let answer = self.swap(&current);
                call = node.on_answer(time, &current, answer);
            }
        }
    }
}

pub fn session(epoch: u64) -> Session {
    Session {
        epoch,
        generation: 1,
        is_open: true,
        is_live: true,
        living: Arc::from([]),
        former: Arc::from([]),
        is_alone: false,
        clock_shift: 0,
    }
}

pub fn node(epoch: u64) -> Arc<Limiter<2>> {
    node_with(epoch)
}

pub fn node_with<S: Safeguards>(epoch: u64) -> Arc<Limiter<2, S>> {
    let node = Limiter::shared(QUANTITIES);
    node.set_session(TimeBounds::exact(0), &session(epoch));
    node
}

pub fn reserve<S: Safeguards>(
    node: &Arc<Limiter<2, S>>,
    now: impl Into<Moment>,
    limits: Limits,
    amounts: [i64; 2],
) -> Result<Reservation<2, S>, Denial> {
    let descriptors = [Descriptor { name: "m", limits }];
    let [first, second] = amounts;
    let request = Request::from(Amounts::default().with(0, first).with(1, second));
    let Moment(time) = now.into();
    node.reserve(time, TENANT, &descriptors, &request).0
}

/// Reserves one request, and lets the store answer until that is decided.
pub fn decide<S: Safeguards>(
    node: &Arc<Limiter<2, S>>,
    store: &mut Store,
    now: impl Into<Moment>,
    limits: Limits,
    amounts: [i64; 2],
) -> Result<Reservation<2, S>, Denial> {
    let now = now.into();
    loop {
        match reserve(node, now, limits, amounts) {
            Err(Denial::Waiting(_)) => {
                let Moment(time) = now;
                let calls = node.asks(time, 100);
                assert!(!calls.is_empty(), "a request waits for nothing");
                store.serve(node, time, calls);
            }
            decided => return decided,
        }
    }
}

/// Sends what is due.
pub fn beat<S: Safeguards>(node: &Arc<Limiter<2, S>>, store: &mut Store, now: impl Into<Moment>) {
    let Moment(time) = now.into();
    let calls = node.beat(time, 100);
    store.serve(node, time, calls);
}
