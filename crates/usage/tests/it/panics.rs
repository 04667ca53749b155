//! Panics of the ledger writer: no recorded event is lost, and the writer continues.

use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use prometheus::Registry;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use usage::{Outcome, UsageEvent, set_aside};

use crate::fixture::{Fixture, event};
use crate::sources::{count_of, is_clean};

/// A model without a price, whose warning makes the log panic.
const MODEL: &str = "the log panics";

static PANICS: AtomicBool = AtomicBool::new(true);

/// A subscriber that panics on a log line about [`MODEL`], as one did whose stderr was closed.
struct Panicking;

struct Fields(bool);

impl Visit for Fields {
    fn record_debug(&mut self, _: &Field, value: &dyn std::fmt::Debug) {
        self.0 |= format!("{value:?}").contains(MODEL);
    }
}

impl Subscriber for Panicking {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && metadata.target() == "usage::ledger"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields(false);
        event.record(&mut fields);
        assert!(
            !(fields.0 && PANICS.load(Ordering::SeqCst)),
            "the log panics on purpose"
        );
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn panicking(id: &str) -> UsageEvent {
    UsageEvent {
        model: Some(MODEL.to_owned()),
        ..event(id)
    }
}

#[tokio::test]
async fn a_panic_of_the_writer_loses_no_event_and_does_not_end_the_writer() {
    static LOGS: Once = Once::new();
    LOGS.call_once(|| tracing::subscriber::set_global_default(Panicking).expect("none is set"));
    let fixture = Fixture::new().await;
    let registry = Registry::new();
    fixture.recorder.register(&registry).expect("registered");
    fixture.record_forty(panicking).await;
    let ids = fixture.ids().await;
    assert_eq!(ids.len(), 77, "{ids:?}");
    let aside = set_aside(fixture.store.usage(), 10).await.expect("read");
    let events: Vec<_> = aside.into_iter().map(|aside| aside.event).collect();
    assert_eq!(events, ["07", "23", "24"].map(panicking));
    assert!(fixture.recorder.is_accepting());
    is_clean(&fixture).await;

    // A reported event that panics is refused alone.
    let reported = |event: UsageEvent| UsageEvent {
        outcome: Outcome::Reported,
        ..event
    };
    let (bad, good) = (
        vec![reported(panicking("bad"))],
        vec![reported(event("good"))],
    );
    let (refused, taken) = tokio::join!(
        fixture.recorder.report(bad, None),
        fixture.recorder.report(good, None)
    );
    assert_eq!(refused.expect_err("it panics").status.as_u16(), 500);
    assert_eq!(taken.expect("recorded").accepted, 1);

    // Events set aside are in the ledger once writing them no longer panics.
    PANICS.store(false, Ordering::SeqCst);
    let (other, _task, _spend) = fixture.another().await;
    other.flush().await;
    assert_eq!(fixture.ids().await.len(), 81);
    assert_eq!(
        count_of(&registry, "orgplane_ledger_lost_events_total"),
        0.0
    );
    is_clean(&fixture).await;
}
