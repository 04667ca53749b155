//! Generators of random events.

use base::UnixTime;
use base::ids::{Id, ProjectId};
use base::time::{SECONDS_PER_DAY, SECONDS_PER_HOUR, SECONDS_PER_MINUTE};
use proptest::prelude::*;
use proptest::sample::select;
use usage::{ApiSource, Dimension, Quantities, UsageEvent, UsageKind};

use crate::fixture::{START_SECONDS, event};

/// Returns the values of a dimension that events have.
pub(crate) fn values(dimension: Dimension) -> &'static [&'static str] {
    match dimension {
        Dimension::ProjectId => &["proj_a", "proj_b", "proj_c"],
        Dimension::UserId => &["user-a", "user-b"],
        Dimension::ApiKeyId => &["key_a", "key_b"],
        Dimension::Model => &["m", "pictures", "unheard of"],
        Dimension::Batch => &["true", "false"],
        Dimension::ServiceTier => &["priority", "flex"],
        Dimension::Size => &["1024x1024", "1792x1024"],
        Dimension::Source => &["image.generation", "image.edit"],
        Dimension::VectorStoreId => &["vs_a", "vs_b"],
        Dimension::ContextLevel => &["low", "high"],
        Dimension::ApiSource => &["agents_api"],
    }
}

fn optional(dimension: Dimension) -> impl Strategy<Value = Option<String>> {
    prop::option::of(select(values(dimension)).prop_map(str::to_owned))
}

/// Generates a time within three days, often at the edge of a minute, an hour or a day.
pub(crate) fn moment() -> impl Strategy<Value = i64> {
    let width = select(&[1, SECONDS_PER_MINUTE, SECONDS_PER_HOUR, SECONDS_PER_DAY][..]);
    (0..3 * SECONDS_PER_DAY, width, -1..=1i64).prop_map(|(at, width, off)| {
        (START_SECONDS + at / width * width + if width == 1 { 0 } else { off }).max(START_SECONDS)
    })
}

fn amounts(kind: UsageKind) -> impl Strategy<Value = Quantities> {
    let metrics = [kind.required_metrics(), kind.optional_metrics()].concat();
    prop::collection::vec(prop::option::of(0..2_000i64), metrics.len()).prop_map(move |amounts| {
        let mut quantities = Quantities::default();
        for (metric, amount) in metrics.iter().zip(amounts) {
            if let Some(amount) = amount {
                quantities.set(*metric, amount);
            }
        }
        quantities
    })
}

pub(crate) fn some_event() -> impl Strategy<Value = UsageEvent> {
    let kind = select(UsageKind::ALL).prop_flat_map(|kind| (Just(kind), amounts(kind)));
    let who = (
        select(values(Dimension::ProjectId)),
        optional(Dimension::UserId),
        optional(Dimension::ApiKeyId),
    );
    let what = (
        optional(Dimension::Model),
        any::<bool>(),
        optional(Dimension::ServiceTier),
        optional(Dimension::Size),
        optional(Dimension::Source),
        optional(Dimension::VectorStoreId),
        optional(Dimension::ContextLevel),
        select(ApiSource::ALL),
    );
    (moment(), kind, who, what).prop_map(|(at, (kind, quantities), who, what)| {
        let mut event = event("");
        event.timestamp = UnixTime(at);
        event.kind = kind;
        event.quantities = quantities;
        event.project_id = ProjectId::from_text(who.0.to_owned());
        event.user_id = who.1.map(Id::from_text);
        event.api_key_id = who.2.map(Id::from_text);
        (
            event.model,
            event.batch,
            event.service_tier,
            event.size,
            event.source,
            event.vector_store_id,
            event.context_level,
            event.api_source,
        ) = what;
        event
    })
}
