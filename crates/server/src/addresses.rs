//! The connections that each client has open, which are bounded: one more takes the place of an idle one.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::activity::Activity;
use crate::client_address::ClientNetwork;

/// The time for which a connection has to be idle before it makes room for another one.
const MIN_IDLE: Duration = Duration::from_secs(1);

/// The connections of each client. Clones are the same.
#[derive(Clone)]
pub(crate) struct Addresses(Arc<Shared>);

struct Shared {
    /// The most connections that a client may have open.
    limit: usize,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    /// The connections of each client that has any, in the order of their coming: no more entries than connections.
    clients: HashMap<ClientNetwork, BTreeMap<u64, Arc<Activity>>>,
    next: u64,
}

/// A connection that counts for its client until this is dropped.
pub(crate) struct Counted {
    addresses: Addresses,
    client: ClientNetwork,
    number: u64,
}

impl Addresses {
    pub(crate) fn new(limit: usize) -> Self {
        let open = Mutex::default();
        Self(Arc::new(Shared { limit, open }))
    }

    /// Counts a connection from `address`. When its client has as many open as it may, the one that has been idle for the
    /// longest is asked to close, and counts no more; `None` if none of them is idle.
    pub(crate) fn admit(&self, address: IpAddr, activity: &Arc<Activity>) -> Option<Counted> {
        let client = ClientNetwork::of(address);
        let mut open = self.lock();
        let number = open.next;
        open.next += 1;
        let connections = open.clients.entry(client).or_default();
        if connections.len() >= self.0.limit {
            let idle = connections.iter().filter_map(|(number, activity)| {
                let idle = activity.idle().filter(|idle| *idle >= MIN_IDLE)?;
                Some((idle, *number))
            });
            let (_, longest) = idle.max_by_key(|(idle, _)| *idle)?;
            connections.remove(&longest)?.evict();
        }
        connections.insert(number, Arc::clone(activity));
        Some(Counted {
            addresses: self.clone(),
            client,
            number,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut open = self.addresses.lock();
        if let Entry::Occupied(mut connections) = open.clients.entry(self.client) {
            connections.get_mut().remove(&self.number);
            if connections.get().is_empty() {
                connections.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn admit(addresses: &Addresses, address: &str) -> Option<Counted> {
        let address = address.parse().expect("an address");
        addresses.admit(address, &Activity::begin())
    }

    #[test]
    fn s14_an_address_has_so_many_connections_and_others_have_theirs() {
        let addresses = Addresses::new(2);
        let admit = |address| admit(&addresses, address);
        let first = admit("192.0.2.1").expect("the first");
        let _second = admit("192.0.2.1").expect("the second");
        assert!(admit("192.0.2.1").is_none());
        assert!(admit("::ffff:192.0.2.1").is_none(), "the same address");
        assert!(admit("192.0.2.2").is_some());
        drop(first);
        let _third = admit("192.0.2.1").expect("one was closed");
        assert!(admit("192.0.2.1").is_none());
        // A host has a whole /64 of IPv6.
        let _one = admit("2001:db8::1").expect("the first");
        let _other = admit("2001:db8::2").expect("the second");
        assert!(admit("2001:db8::3").is_none());
        assert!(admit("2001:db8:0:1::1").is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn s14_an_idle_connection_makes_room_and_a_busy_one_does_not() {
        let addresses = Addresses::new(2);
        let address = "192.0.2.1".parse().expect("an address");
        let [busy, idle] = [Activity::begin(), Activity::begin()];
        let _request = busy.request();
        let _counted =
            [&busy, &idle].map(|activity| addresses.admit(address, activity).expect("room"));
        advance(MIN_IDLE).await;
        let third = Activity::begin();
        let request = third.request();
        let _third = addresses.admit(address, &third).expect("the idle one goes");
        idle.evicted().await;
        assert!(admit(&addresses, "192.0.2.1").is_none(), "both are busy");
        drop(request);
        advance(MIN_IDLE).await;
        assert!(admit(&addresses, "192.0.2.1").is_some());
        third.evicted().await;
    }

    #[test]
    fn s14_nothing_is_kept_of_clients_without_connections() {
        let addresses = Addresses::new(2);
        for number in 0..1_000_u32 {
            let address = IpAddr::V4(number.into());
            drop(addresses.admit(address, &Activity::begin()));
        }
        assert!(addresses.lock().clients.is_empty());
    }
}
