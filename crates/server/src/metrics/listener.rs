//! Separate listener for metrics.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use tasks::{Task, TaskHandle};

use crate::serve::Server;
use crate::shutdown::Shutdown;

/// Pause before binding the address again.
const BIND_RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// Task that serves metrics.
struct MetricsListener {
    address: SocketAddr,
    router: Router,
    /// Bound listener, until the task takes it.
    server: Option<Server>,
}

/// Serves `router` until the handle is dropped.
pub(crate) fn serve(server: Server, router: Router) -> TaskHandle {
    tasks::start("metrics", |_| MetricsListener {
        address: server.address(),
        router,
        server: Some(server),
    })
}

impl Task for MetricsListener {
    async fn run(&mut self) {
        let never = Shutdown::within(Duration::ZERO);
        loop {
            let bound = match self.server.take() {
                Some(server) => Ok(server),
                None => Server::bind(self.address).await,
            };
            match bound {
                Ok(server) => {
                    server.run(self.router.clone(), &never).await;
                }
                Err(error) => {
                    tracing::error!(error = format!("{error:#}"), "failed to serve metrics");
                }
            }
            tokio::time::sleep(BIND_RETRY_INTERVAL).await;
        }
    }
}
