//! Address of the client of a request: the peer, or the client that a trusted proxy reports.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Maximum number of proxy hops evaluated, from the last one backwards.
const MAX_HOPS: usize = 32;

/// Client as seen by limits: an IPv4 address, or the /64 network of an IPv6 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ClientNetwork(IpAddr);

impl ClientNetwork {
    pub(crate) fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => {
                let prefix = address.to_bits() & !u128::from(u64::MAX);
                IpAddr::V6(Ipv6Addr::from_bits(prefix))
            }
        })
    }
}

/// Proxies whose `x-forwarded-for` or `forwarded` headers are trusted. Clones share the list.
#[derive(Clone, Debug, Default)]
pub(crate) struct TrustedProxies(Arc<[IpNet]>);

impl TrustedProxies {
    pub(crate) fn new(networks: Vec<IpNet>) -> Self {
        Self(networks.into())
    }

    /// True if `address` belongs to a trusted proxy.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Returns the client that the trusted proxy `peer` forwards for: the last address in the header that is not a
    /// trusted proxy. If the header is too short or malformed, the last known hop; if both headers are present and
    /// disagree, `peer` itself, since the client may have sent one of them.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let has = |name: &HeaderName| headers.contains_key(name);
        match (has(&X_FORWARDED_FOR), has(&FORWARDED)) {
            (false, false) => peer,
            (true, false) => {
                self.last_untrusted(peer, headers, &X_FORWARDED_FOR, parse_forwarded_for)
            }
            (false, true) => self.last_untrusted(peer, headers, &FORWARDED, forwarded),
            (true, true) => {
                let one = self.last_untrusted(peer, headers, &X_FORWARDED_FOR, parse_forwarded_for);
                let other = self.last_untrusted(peer, headers, &FORWARDED, forwarded);
                if one == other { one } else { peer }
            }
        }
    }

    fn last_untrusted(
        &self,
        peer: IpAddr,
        headers: &HeaderMap,
        name: &HeaderName,
        parse: fn(&str) -> Option<IpAddr>,
    ) -> IpAddr {
        let mut known = peer;
        let values: Vec<_> = headers.get_all(name).iter().collect();
        let values = values.iter().rev().map(|value| value.to_str());
        let hops = values.flat_map(|value| value.unwrap_or_default().rsplit(','));
        for hop in hops.take(MAX_HOPS) {
            let Some(address) = parse(hop.trim_matches([' ', '\t'])) else {
                break;
            };
            known = address.to_canonical();
            if !self.contains(known) {
                break;
            }
        }
        known
    }
}

/// Parses an element of `x-forwarded-for`: an address with or without a port.
fn parse_forwarded_for(hop: &str) -> Option<IpAddr> {
    if let Ok(address) = hop.parse() {
        return Some(address);
    }
    if let Ok(address) = hop.parse::<SocketAddr>() {
        return Some(address.ip());
    }
    let inner = hop.strip_prefix('[')?.strip_suffix(']')?;
    inner.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
}

/// Parses an element of `forwarded` (RFC 7239): its single `for` parameter.
fn forwarded(hop: &str) -> Option<IpAddr> {
    let mut found = None;
    for pair in hop.split(';') {
        let (name, value) = pair.trim_matches([' ', '\t']).split_once('=')?;
        if name.eq_ignore_ascii_case("for") && found.replace(value).is_some() {
            return None;
        }
    }
    let value = found?;
    let quoted = value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    match quoted {
        Some(inner) => parse_forwarded_for(inner),
        // Without quotes there is neither a port nor an IPv6 address.
        None => value.parse::<std::net::Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn client(headers: &[(&HeaderName, &str)]) -> String {
        let networks =
            ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().expect("a network"));
        let proxies = TrustedProxies::new(networks.to_vec());
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_str(value).expect("a value"));
        }
        let peer = "10.0.0.1".parse().expect("an address");
        proxies.client(peer, &map).to_string()
    }

    #[test]
    fn s24_the_client_is_the_last_hop_that_is_no_trusted_proxy() {
        let (list, forwarded) = (&X_FORWARDED_FOR, &FORWARDED);
        for (headers, expected) in [
            (&[][..], "10.0.0.1"),
            (&[(list, "192.0.2.1")], "192.0.2.1"),
            // What the client itself has sent comes first, and is not believed.
            (&[(list, "203.0.113.9, 192.0.2.1")], "192.0.2.1"),
            (
                &[(list, "203.0.113.9"), (list, "192.0.2.1, 10.0.0.2")],
                "192.0.2.1",
            ),
            (&[(list, "10.0.0.3,10.0.0.2")], "10.0.0.3"),
            (&[(list, "192.0.2.1:5000")], "192.0.2.1"),
            (&[(list, "[2001:db8::1]:5000")], "2001:db8::1"),
            (&[(list, "2001:db8::1, fd00::2")], "2001:db8::1"),
            (&[(list, "::ffff:192.0.2.1")], "192.0.2.1"),
            // The last hop that is known.
            (&[(list, "192.0.2.1, nonsense, 10.0.0.2")], "10.0.0.2"),
            (&[(list, "unknown")], "10.0.0.1"),
            (&[(list, "")], "10.0.0.1"),
            (&[(list, "192.0.2.1,")], "10.0.0.1"),
            (&[(list, "192.0.2.01")], "10.0.0.1"),
            (&[(forwarded, "for=192.0.2.1;proto=https")], "192.0.2.1"),
            (
                &[(forwarded, "For=\"[2001:db8::1]:80\", for=10.0.0.2")],
                "2001:db8::1",
            ),
            (&[(forwarded, "for=192.0.2.1;for=192.0.2.2")], "10.0.0.1"),
            (&[(forwarded, "for=_hidden")], "10.0.0.1"),
            (&[(forwarded, "by=192.0.2.1")], "10.0.0.1"),
            (
                &[(forwarded, "for=192.0.2.1"), (list, "192.0.2.1")],
                "192.0.2.1",
            ),
            (
                &[(forwarded, "for=203.0.113.9"), (list, "192.0.2.1")],
                "10.0.0.1",
            ),
        ] {
            assert_eq!(client(headers), expected, "{headers:?}");
        }
    }

    #[test]
    fn s24_a_chain_of_any_length_is_read_for_a_bounded_time() {
        let long = vec!["10.0.0.2"; 1_000].join(",");
        assert_eq!(
            client(&[(&X_FORWARDED_FOR, &format!("192.0.2.1,{long}"))]),
            "10.0.0.2"
        );
    }
}
