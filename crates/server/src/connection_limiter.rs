//! Limit of open connections per client: a further connection replaces an idle one.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::activity::Activity;
use crate::client_address::ClientNetwork;

/// Minimum idle time of a connection that may be replaced.
const MIN_IDLE: Duration = Duration::from_secs(1);

/// Open connections by client. Clones share their state.
#[derive(Clone)]
pub(crate) struct ConnectionLimiter(Arc<LimiterState>);

struct LimiterState {
    /// Maximum number of open connections per client.
    limit: usize,
    open: Mutex<OpenConnections>,
}

#[derive(Default)]
struct OpenConnections {
    /// Open connections by client and order of arrival; clients without connections have no entry.
    clients: HashMap<ClientNetwork, BTreeMap<u64, Arc<Activity>>>,
    next: u64,
}

/// RAII guard of a counted connection.
pub(crate) struct ConnectionPermit {
    addresses: ConnectionLimiter,
    client: ClientNetwork,
    number: u64,
}

impl ConnectionLimiter {
    pub(crate) fn new(limit: usize) -> Self {
        let open = Mutex::default();
        Self(Arc::new(LimiterState { limit, open }))
    }

    /// Counts a connection from `address`. At the limit, the connection of the same client that has been idle longest
    /// is asked to close. Returns `None` if no connection is idle.
    pub(crate) fn admit(
        &self,
        address: IpAddr,
        activity: &Arc<Activity>,
    ) -> Option<ConnectionPermit> {
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
        Some(ConnectionPermit {
            addresses: self.clone(),
            client,
            number,
        })
    }

    fn lock(&self) -> MutexGuard<'_, OpenConnections> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ConnectionPermit {
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

    fn admit(addresses: &ConnectionLimiter, address: &str) -> Option<ConnectionPermit> {
        let address = address.parse().expect("an address");
        addresses.admit(address, &Activity::begin())
    }

    #[test]
    fn s14_an_address_has_so_many_connections_and_others_have_theirs() {
        let addresses = ConnectionLimiter::new(2);
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
        let addresses = ConnectionLimiter::new(2);
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
        let addresses = ConnectionLimiter::new(2);
        for number in 0..1_000_u32 {
            let address = IpAddr::V4(number.into());
            drop(addresses.admit(address, &Activity::begin()));
        }
        assert!(addresses.lock().clients.is_empty());
    }
}
