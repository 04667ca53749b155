//! The ledger's events of a request to a model: the same whether its answer was relayed or is made in the background.

use base::UnixTime;
use base::ids::{KeyId, OrganizationId, ProjectId, UserId};
use proxy::UpstreamBilling;
use usage::{ApiSource, Dimension, Outcome, Quantities, UsageEvent, UsageKind, tool_row_id};

use crate::budget::with_billing;
use crate::dialect::{Dialect, MeasuredUsage};

/// A request to a model, as far as its events name it.
pub(crate) struct MeteredRequest {
    /// Id of the request, which is that of its row.
    pub(crate) id: String,
    pub(crate) admitted_at: UnixTime,
    pub(crate) organization: OrganizationId,
    pub(crate) project: ProjectId,
    pub(crate) user: Option<UserId>,
    pub(crate) key: Option<KeyId>,
    /// Upstream's name of the model.
    pub(crate) model: String,
    /// Effect of the upstream on prices.
    pub(crate) billing: UpstreamBilling,
}

impl MeteredRequest {
    /// Returns the event of the request, without those of hosted tools.
    pub(crate) fn event(
        self,
        dialect: &Dialect,
        outcome: Outcome,
        spent: MeasuredUsage,
    ) -> UsageEvent {
        let has_tier = dialect.kind.dimensions().contains(&Dimension::ServiceTier);
        UsageEvent {
            id: self.id,
            timestamp: self.admitted_at,
            organization_id: self.organization,
            kind: dialect.kind,
            project_id: self.project,
            user_id: self.user,
            api_key_id: self.key,
            model: Some(self.model),
            batch: false,
            service_tier: spent.service_tier.filter(|_| has_tier),
            size: spent.size,
            source: dialect.source.map(str::to_owned),
            vector_store_id: None,
            context_level: None,
            api_source: ApiSource::Unlabeled,
            quantities: with_billing(spent.quantities, self.billing, spent.cost),
            estimated: spent.estimated,
            outcome,
        }
    }

    /// Returns the event of the request, and those of the hosted tools that the request used.
    pub(crate) fn events(
        self,
        dialect: &Dialect,
        outcome: Outcome,
        mut spent: MeasuredUsage,
    ) -> Vec<UsageEvent> {
        let billing = self.billing;
        let (level, memory) = (spent.context_level.take(), spent.container_memory.take());
        let tools = spent.hosted_tools.reports();
        let event = self.event(dialect, outcome, spent);
        let tools = tools.map(|(kind, metric, count)| {
            let quantities = Quantities::default().with(metric, count);
            let quantities = with_billing(quantities, billing, None);
            UsageEvent {
                context_level: level.clone().filter(|_| kind == UsageKind::WebSearchCalls),
                size: memory
                    .clone()
                    .filter(|_| kind == UsageKind::CodeInterpreterSessions),
                ..tool_event(&event, kind, quantities)
            }
        });
        let tools: Vec<UsageEvent> = tools.collect();
        let mut events = vec![event];
        events.extend(tools);
        events
    }
}

/// Returns the usage event of a hosted tool that a request used, for the report of the tool.
fn tool_event(request: &UsageEvent, kind: UsageKind, quantities: Quantities) -> UsageEvent {
    let has = |dimension| kind.dimensions().contains(&dimension);
    UsageEvent {
        id: tool_row_id(&request.id, kind),
        kind,
        user_id: request.user_id.clone().filter(|_| has(Dimension::UserId)),
        api_key_id: request
            .api_key_id
            .clone()
            .filter(|_| has(Dimension::ApiKeyId)),
        model: request.model.clone().filter(|_| has(Dimension::Model)),
        service_tier: None,
        size: None,
        source: None,
        quantities,
        estimated: false,
        ..request.clone()
    }
}
