//! Metrics of the session of this node, and of the other nodes.

use cluster::NodeSession;
use prometheus::{IntGauge, Registry};

/// Gauges of the nodes on the database, sampled when metrics are read.
pub(super) struct ClusterMetrics {
    session: NodeSession,
    is_over: IntGauge,
    nodes: IntGauge,
    differing: IntGauge,
    generation: IntGauge,
}

impl ClusterMetrics {
    pub(super) fn start(registry: &Registry, session: NodeSession) -> prometheus::Result<Self> {
        let gauge = |name, help| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            prometheus::Result::Ok(gauge)
        };
        Ok(Self {
            session,
            is_over: gauge(
                "orgplane_session_over",
                "1 if the session of this node was not prolonged in time, else 0.",
            )?,
            nodes: gauge(
                "orgplane_nodes",
                "Nodes that serve the database, this one included.",
            )?,
            differing: gauge(
                "orgplane_nodes_differing",
                "Nodes whose prices, retention or upstreams differ from those of this node.",
            )?,
            generation: gauge(
                "orgplane_generation",
                "Generation of the database; grows when commits may have been lost or its clock was set.",
            )?,
        })
    }

    pub(super) fn sample(&self) {
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        self.is_over.set(i64::from(self.session.is_over()));
        // A local session has no list, and is alone.
        self.nodes.set(count(self.session.living().len()).max(1));
        self.differing.set(count(self.session.differing()));
        self.generation.set(self.session.generation().number);
    }
}
