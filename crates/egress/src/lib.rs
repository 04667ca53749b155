//! Outbound connections, through a proxy if the configuration or the environment names one.

mod dialer;
mod proxies;
mod transport;

pub use dialer::{Dialer, TlsError};
pub use proxies::{Proxies, Proxy, ProxyError};
pub use transport::Transport;
