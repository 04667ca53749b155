//! Writer of `login.failed` audit events: a bounded queue and a rate limit per key and organization.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use admin::Services;
use admin::sign_ins::{RefusedKey, record};
use base::ids::{KeyId, OrganizationId};
use tasks::{Health, Task, TaskHandle};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Maximum number of queued refusals; further ones are dropped.
const QUEUE_CAPACITY: usize = 256;
/// Interval within which a key refused at an address creates one event.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(60);
/// Maximum number of events per organization and interval.
const MAX_ENTRIES: usize = 10;
/// Maximum number of distinct keys and addresses per interval.
const MAX_SERIES: usize = 1_024;

/// Sender of refusals. Never blocks.
pub(super) struct FailureRecorder {
    queue: mpsc::Sender<RefusedKey>,
    task: TaskHandle,
}

/// Task that writes refusals to the audit log.
struct AuditWriter {
    services: Arc<Services>,
    refused: mpsc::Receiver<RefusedKey>,
    sampler: Sampler,
}

impl FailureRecorder {
    /// Starts the task; it ends when this handle is dropped.
    pub(super) fn start(services: Arc<Services>) -> Self {
        let (queue, refused) = mpsc::channel(QUEUE_CAPACITY);
        let task = tasks::start("sign-ins", |_| AuditWriter {
            services,
            refused,
            sampler: Sampler::default(),
        });
        Self { queue, task }
    }

    /// Returns the health of the task.
    pub(super) fn health(&self) -> &Health {
        self.task.health()
    }

    /// Queues a refusal; drops it if the queue is full.
    pub(super) fn refused(&self, refused: RefusedKey) {
        // The log and the metrics have the refusal anyway.
        let _ = self.queue.try_send(refused);
    }
}

impl Task for AuditWriter {
    async fn run(&mut self) {
        while let Some(refused) = self.refused.recv().await {
            let Some(refused) = self.sampler.admit(refused) else {
                continue;
            };
            if let Err(error) = record(&self.services, &refused).await {
                let organization = &refused.key.organization.id;
                tracing::warn!(%error, %organization, "failed to record refused API key in the audit log");
            }
        }
    }
}

/// Sampler of refusals.
#[derive(Default)]
struct Sampler {
    series: HashMap<(KeyId, IpAddr), Series>,
    organizations: HashMap<OrganizationId, (Instant, usize)>,
}

/// Refusals of a key at an address.
struct Series {
    since: Instant,
    /// Number of refusals since the last event.
    more: u64,
}

impl Sampler {
    /// Returns the refusal to write, with the number of refusals suppressed before it; `None` to suppress it.
    fn admit(&mut self, refused: RefusedKey) -> Option<RefusedKey> {
        let now = Instant::now();
        let is_old = |since: Instant| now.duration_since(since) >= SAMPLE_INTERVAL;
        let organization = refused.key.organization.id.clone();
        let series = (refused.key.id.clone(), refused.address);
        let more = match self.series.get_mut(&series) {
            Some(known) if !is_old(known.since) => {
                known.more += 1;
                return None;
            }
            Some(known) => known.more,
            None => 0,
        };
        if self.series.len() >= MAX_SERIES {
            self.series.retain(|_, known| !is_old(known.since));
            self.organizations.retain(|_, (since, _)| !is_old(*since));
        }
        if self.series.len() >= MAX_SERIES {
            return None;
        }
        let (since, entries) = self.organizations.entry(organization).or_insert((now, 0));
        if is_old(*since) {
            (*since, *entries) = (now, 0);
        }
        if *entries >= MAX_ENTRIES {
            return None;
        }
        *entries += 1;
        self.series.insert(
            series,
            Series {
                since: now,
                more: 0,
            },
        );
        Some(RefusedKey { more, ..refused })
    }
}

#[cfg(test)]
mod tests {
    use access::{Key, Organization, Owner};
    use base::PermissionSet;
    use base::ids::{Id, ServiceAccountId};
    use base::secret::KeyKind;
    use http::HeaderValue;
    use tokio::time::advance;

    use super::*;

    fn refused(organization: &str, key: &str, address: u8) -> RefusedKey {
        let organization = Organization {
            id: OrganizationId::from_text(organization.to_owned()),
            header: HeaderValue::from_static("org-x"),
        };
        let owner = ServiceAccountId::from_text("svc_acct_x".to_owned());
        let key = Key {
            id: KeyId::from_text(key.to_owned()),
            kind: KeyKind::Admin,
            organization: Arc::new(organization),
            project: None,
            owner: Owner::ServiceAccount { id: owner },
            owner_exists: true,
            is_owners: false,
            scopes: PermissionSet::default(),
            permissions: PermissionSet::default(),
            expires_at: None,
        };
        RefusedKey {
            key: Arc::new(key),
            address: IpAddr::from([192, 0, 2, address]),
            reason: "expired_key",
            more: 0,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn s24_a_key_makes_one_entry_in_a_minute_which_says_how_often_it_was_refused() {
        let mut sampler = Sampler::default();
        let mut admit = |key: &str, address| {
            let admitted = sampler.admit(refused("org-a", key, address));
            admitted.map(|refused| refused.more)
        };
        assert_eq!(admit("key_1", 1), Some(0));
        advance(SAMPLE_INTERVAL / 2).await;
        for _ in 0..1_000 {
            assert_eq!(admit("key_1", 1), None);
        }
        assert_eq!(admit("key_1", 2), Some(0));
        advance(SAMPLE_INTERVAL / 2).await;
        assert_eq!(admit("key_1", 1), Some(1_000));
        advance(SAMPLE_INTERVAL).await;
        assert_eq!(admit("key_1", 1), Some(0));
    }

    #[tokio::test(start_paused = true)]
    async fn s24_an_organization_has_so_many_entries_in_a_minute_and_others_have_theirs() {
        let mut sampler = Sampler::default();
        let entries = |sampler: &mut Sampler, organization| {
            let refusals = (0..100).map(|key| refused(organization, &format!("key_{key}"), 1));
            refusals
                .filter_map(|refused| sampler.admit(refused))
                .count()
        };
        assert_eq!(entries(&mut sampler, "org-a"), MAX_ENTRIES);
        assert_eq!(entries(&mut sampler, "org-b"), MAX_ENTRIES);
        assert_eq!(entries(&mut sampler, "org-a"), 0);
        advance(SAMPLE_INTERVAL).await;
        assert_eq!(entries(&mut sampler, "org-a"), MAX_ENTRIES);
        for number in 0..10 * MAX_SERIES {
            let organization = format!("org-{number}");
            sampler.admit(refused(&organization, "key", 1));
        }
        assert!(sampler.series.len() <= MAX_SERIES);
        assert!(sampler.organizations.len() <= MAX_SERIES + 1);
    }
}
