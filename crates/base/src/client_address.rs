//! Address of the client of a request.

use std::fmt;
use std::net::IpAddr;

/// Address of the client of a request: that of the peer, or the one that a trusted proxy reports. The server adds it to the
/// extensions of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientAddress(pub IpAddr);

impl fmt::Display for ClientAddress {
    /// Writes an IPv4 address that is mapped into IPv6 as an IPv4 address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.to_canonical().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_address_is_written_as_ipv4() {
        for (address, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
        ] {
            let address = ClientAddress(address.parse().expect("an address"));
            assert_eq!(address.to_string(), expected);
        }
    }
}
