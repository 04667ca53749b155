//! The listener of metrics, where they have an address of their own.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use tasks::{Task, TaskHandle};

use crate::serve::Server;
use crate::stop::Stop;

/// The pause before the address is bound again.
const BIND_RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// Serves metrics for as long as the process lives.
struct MetricsListener {
    address: SocketAddr,
    router: Router,
    /// The bound listener, until it is used.
    server: Option<Server>,
}

/// Serves `router` on a listener for as long as the handle lives.
pub(crate) fn serve(server: Server, router: Router) -> TaskHandle {
    tasks::start("metrics", |_| MetricsListener {
        address: server.address(),
        router,
        server: Some(server),
    })
}

impl Task for MetricsListener {
    async fn run(&mut self) {
        let never = Stop::within(Duration::ZERO);
        loop {
            let bound = match self.server.take() {
                Some(server) => Ok(server),
                None => Server::bind(self.address).await,
            };
            match bound {
                Ok(server) => {
                    server.run(self.router.clone(), &never).await;
                }
                Err(error) => tracing::error!(error = format!("{error:#}"), "metrics not served"),
            }
            tokio::time::sleep(BIND_RETRY_INTERVAL).await;
        }
    }
}
