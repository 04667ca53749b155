//! Another node on the database of a world.

use std::sync::Arc;

use base::Clock;
use gateway::{Durability, Gateway, UpstreamConfig};
use store::Store;
use usage::{Recorder, RecorderTask, Spend};

use super::started::{Bounds, Started, prices, start};

/// A gateway with a store, a ledger and a memory of its own.
pub struct Node {
    started: Started,
    _recorder: RecorderTask,
}

impl Node {
    pub(super) async fn start(url: &str, clock: &Clock, upstreams: Vec<UpstreamConfig>) -> Self {
        let store = Store::open(url).await.expect("a store");
        let spend = Spend::load(store.usage(), clock.clone()).await;
        let spend = spend.expect("what was spent");
        let (ledger, book) = (store.usage().clone(), Arc::new(prices()));
        let recorder = Recorder::start(ledger, book, clock.clone(), spend.clone());
        let (recorder, task) = recorder.expect("a recorder");
        let books = (&recorder, &spend);
        let started = start(
            &store,
            books,
            clock,
            upstreams,
            (Durability::Batched, false),
            Bounds::default(),
        )
        .await;
        Self {
            started,
            _recorder: task,
        }
    }

    pub fn gateway(&self) -> &Gateway {
        &self.started.gateway
    }
}
