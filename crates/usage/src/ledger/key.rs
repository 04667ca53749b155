//! Keys of the ledger's rows: the column `id` of a day's table, unique within an organization and day.
//!
//! Keys of reported events have a prefix, so that a client can never take the key of a row of the gateway. Rows that
//! were reported before the prefix was introduced keep their keys.

use std::borrow::Cow;

use crate::{Outcome, UsageEvent, UsageKind};

/// The prefix of the key of a reported event.
const REPORTED: &str = "reported/";
/// The prefix of the key of a gateway's event whose id starts like one of these prefixes.
const OWN: &str = "gateway/";
/// The prefix of the key of a correction, followed by the key of the row that it reverses. A correction's id is its
/// key.
const CORRECTION: &str = "correction/";
/// The most bands of length that the requests of a batch are told apart by, beside the shortest one.
pub const MAX_BANDS: usize = 8;
/// The longest id of an event of the gateway in bytes. PostgreSQL indexes no more than 2,700 bytes a row.
const MAX_ID_BYTES: usize = 512;

/// The origin of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Metered by the gateway.
    Gateway,
    /// Reported by a client.
    Report,
    /// Imported by an operator. The id may be that of a row that the gateway wrote and that was exported: then the
    /// event is a duplicate.
    Import,
    /// Metered by the gateway of a process that has died, by the request's admission. The row may be there already.
    Lost,
}

/// Returns the key of an event's row.
pub(crate) fn key_of(event: &UsageEvent) -> Cow<'_, str> {
    match event.outcome {
        Outcome::Reported => format!("{REPORTED}{}", event.id).into(),
        Outcome::Corrected | Outcome::Repriced => event.id.as_str().into(),
        _ => own_key(&event.id),
    }
}

/// Returns the key of a row of the gateway. Upstreams name their batches, so an id may have any form.
pub(super) fn own_key(id: &str) -> Cow<'_, str> {
    let spaces = [REPORTED, OWN, CORRECTION];
    let is_plain = id.len() <= MAX_ID_BYTES && !id.contains('\0');
    if is_plain && !spaces.iter().any(|space| id.starts_with(space)) {
        return id.into();
    }
    let id = &id[..id.floor_char_boundary(MAX_ID_BYTES)];
    format!("{OWN}{}", id.replace('\0', "\u{fffd}")).into()
}

/// Returns the id of the event whose row has this key.
pub(crate) fn id_of(key: String, outcome: Outcome) -> String {
    let prefix = match outcome {
        Outcome::Reported => REPORTED,
        Outcome::Corrected | Outcome::Repriced => return key,
        _ => OWN,
    };
    match key.strip_prefix(prefix) {
        Some(id) => id.to_owned(),
        None => key,
    }
}

/// Returns the keys that the row of a reported event may have: with the prefix, and without it from before the prefix
/// was introduced.
pub(crate) fn keys_of_reported(id: &str) -> [String; 2] {
    [format!("{REPORTED}{id}"), id.to_owned()]
}

/// Returns the keys that the rows of a request or batch with this id may have.
pub(crate) fn keys_of_request(id: &str) -> Vec<String> {
    let tools = UsageKind::ALL.iter().map(|kind| tool_row_id(id, *kind));
    let bands = (1..=MAX_BANDS).map(|band| band_row_id(id, band));
    let own = tools.chain(bands).map(|id| own_key(&id).into_owned());
    let mut keys: Vec<String> = own.collect();
    keys.push(own_key(id).into_owned());
    for key in keys_of_reported(id) {
        keys.push(correction_of(&key));
        keys.push(key);
    }
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// Returns the id of the event of a hosted tool that a request used.
#[must_use]
pub fn tool_row_id(request: &str, tool: UsageKind) -> String {
    format!("{request}-{}", tool.as_str())
}

/// Returns the id of the event of the requests of a batch that are longer than the first `band` bounds of its model's
/// prices, up to [`MAX_BANDS`]. Those of the shortest band have the id of the batch.
#[must_use]
pub fn band_row_id(batch: &str, band: usize) -> String {
    match band.min(MAX_BANDS) {
        0 => batch.to_owned(),
        band => format!("{batch}/{}", band + 1),
    }
}

/// Returns the id, which is also the key, of the correction of the row with this key.
pub(crate) fn correction_of(key: &str) -> String {
    format!("{CORRECTION}{key}")
}

#[cfg(test)]
mod tests {
    use base::UnixTime;
    use base::ids::{Id, OrganizationId, ProjectId};

    use super::*;
    use crate::Quantities;

    fn event(id: &str, outcome: Outcome) -> UsageEvent {
        UsageEvent {
            outcome,
            ..UsageEvent::new(
                id.to_owned(),
                UnixTime(0),
                OrganizationId::from_text("org-a".to_owned()),
                ProjectId::from_text("proj_a".to_owned()),
                UsageKind::Completions,
                Quantities::default(),
            )
        }
    }

    #[test]
    fn an_id_of_one_source_never_has_the_key_of_another() {
        let ids = [
            "req_1",
            "req_1-web_search_calls",
            "batch_1",
            "vs_1/20000",
            "reported/req_1",
            "gateway/req_1",
            "gateway/reported/req_1",
            "correction/req_1",
            "correction/reported/req_1",
        ];
        let mut keys = std::collections::HashSet::new();
        for id in ids {
            for outcome in [Outcome::Succeeded, Outcome::Reported] {
                let event = event(id, outcome);
                let key = key_of(&event).into_owned();
                assert_eq!(id_of(key.clone(), outcome), id);
                assert!(keys.insert(correction_of(&key)), "{key}");
                assert!(keys.insert(key), "{id} {outcome:?}");
            }
        }
    }

    #[test]
    fn a_key_fits_both_databases() {
        let key = key_of(&event(&"ü\0".repeat(5_000), Outcome::Succeeded)).into_owned();
        assert!(key.len() < 2_000 && !key.contains('\0'), "{key}");
    }
}
