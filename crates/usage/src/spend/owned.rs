//! Requests of money that outlive their request of the gateway.

use base::ids::{OrganizationId, ProjectId};
use base::{NanoDollars, UnixTime};

use super::SpendRequest;

/// A [`SpendRequest`] that owns its ids.
pub(super) struct OwnedSpendRequest {
    organization: (OrganizationId, Option<NanoDollars>),
    project: (ProjectId, Option<NanoDollars>),
    at: UnixTime,
    max_cost: NanoDollars,
}

impl OwnedSpendRequest {
    pub(super) fn new(request: &SpendRequest<'_>) -> Self {
        Self {
            organization: (request.organization.0.clone(), request.organization.1),
            project: (request.project.0.clone(), request.project.1),
            at: request.at,
            max_cost: request.max_cost,
        }
    }

    pub(super) fn borrowed(&self) -> SpendRequest<'_> {
        SpendRequest {
            organization: (&self.organization.0, self.organization.1),
            project: (&self.project.0, self.project.1),
            at: self.at,
            max_cost: self.max_cost,
        }
    }
}
