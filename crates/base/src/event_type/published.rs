//! Event types that the contract names. Most of them are never caused by this program, but filters accept them all.

const TENANT_PREFIX: &str = "tenant.";

/// Event types that concern the tenant above an organization although their names lack the prefix `tenant.`.
pub const UNPREFIXED_TENANT_EVENTS: [&str; 2] =
    ["role.bound_to_resource", "role.unbound_from_resource"];

/// Returns true if the contract names this event type.
#[must_use]
pub fn is_published(name: &str) -> bool {
    match name.strip_prefix(TENANT_PREFIX) {
        Some(rest) => TENANT_EVENTS.binary_search(&rest).is_ok(),
        None => ORGANIZATION_EVENTS.binary_search(&name).is_ok(),
    }
}

/// Iterates over every event type that the contract names.
pub fn published() -> impl Iterator<Item = String> {
    let of_organizations = ORGANIZATION_EVENTS.iter().map(|name| (*name).to_owned());
    let of_tenants = TENANT_EVENTS.iter();
    of_organizations.chain(of_tenants.map(|name| format!("{TENANT_PREFIX}{name}")))
}

/// Returns true if the event type concerns a tenant, which stands above organizations.
#[must_use]
pub fn is_of_tenant(name: &str) -> bool {
    name.starts_with(TENANT_PREFIX) || UNPREFIXED_TENANT_EVENTS.contains(&name)
}

/// Event types of organizations, sorted for binary search.
#[rustfmt::skip]
const ORGANIZATION_EVENTS: &[&str] = &[
    "api_key.created", "api_key.deleted", "api_key.updated", "certificate.created", "certificate.deleted",
    "certificate.updated", "certificates.activated", "certificates.deactivated", "checkpoint.permission.created",
    "checkpoint.permission.deleted", "external_key.registered", "external_key.removed",
    "external_storage.registered", "external_storage.removed", "group.created", "group.deleted", "group.updated",
    "invite.accepted", "invite.deleted", "invite.sent", "ip_allowlist.config.activated",
    "ip_allowlist.config.deactivated", "ip_allowlist.created", "ip_allowlist.deleted", "ip_allowlist.updated",
    "login.failed", "login.succeeded", "logout.failed", "logout.succeeded", "organization.updated",
    "project.archived", "project.created", "project.deleted", "project.updated", "rate_limit.deleted",
    "rate_limit.updated", "resource.deleted", "role.assignment.created", "role.assignment.deleted",
    "role.bound_to_resource", "role.created", "role.deleted", "role.unbound_from_resource", "role.updated",
    "scim.disabled", "scim.enabled", "service_account.created", "service_account.deleted",
    "service_account.updated", "tunnel.created", "tunnel.deleted", "tunnel.updated", "user.added", "user.deleted",
    "user.updated", "workload_identity_provider.created", "workload_identity_provider.deleted",
    "workload_identity_provider.updated", "workload_identity_provider_mapping.created",
    "workload_identity_provider_mapping.deleted", "workload_identity_provider_mapping.updated",
];

/// Event types of tenants without the prefix `tenant.`, sorted for binary search.
#[rustfmt::skip]
const TENANT_EVENTS: &[&str] = &[
    "admin_api_key.created", "admin_api_key.deleted", "admin_api_key.updated", "ads_account.onboarding.redemption",
    "api_organization_invite.deleted", "api_organization_invite.upserted", "billing.alerts.updated",
    "billing.info.updated", "billing.overage_limit.updated", "chatgpt_access_token.revoked",
    "chatgpt_workspace_invite.upserted", "custom_role.created", "custom_role.deleted", "custom_role.updated",
    "domains.migrated", "group.created", "group.deleted", "group.member.added", "group.member.removed",
    "group.updated", "membership.accepted", "membership.declined", "membership.revoked", "metadata.updated",
    "microsoft_entra_mapping.deleted", "microsoft_entra_mapping.upserted", "migration.completed",
    "migration_rollout.status.updated", "migration_rollout.tier.updated", "policy.attached", "policy.created",
    "policy.deleted", "policy.detached", "policy.updated", "principal_authentication_policy.resolved",
    "product_access_policy.updated", "project_api_key.created", "resource_access.deleted",
    "resource_access.updated", "resource_role_assignment.created", "resource_role_assignment.deleted",
    "resource_share_grant.accepted", "resource_share_grant.created", "resource_share_grant.declined",
    "resource_share_grant.deleted", "resource_share_grant.revoked", "resource_share_grant.updated",
    "role.metadata.updated", "role_assignment.created", "role_assignment.deleted", "scim.deletion.requested",
    "scim.directory.created", "scim.setup.started", "service_account.deleted", "service_account.token.revoked",
    "service_account.updated", "session_policy.created", "session_policy.deleted", "session_policy.updated",
    "session_revocation.started", "sso.migrated", "sso_connection.created", "sso_connection.deleted",
    "sso_connection.setup.started", "sso_connection.updated", "third_party_app_policy.updated",
    "trusted_access.application.submitted", "trusted_access.business_verification.started",
    "usage_limit.group.updated", "usage_limit.increase_request.resolved", "usage_limit.increase_request.updated",
    "usage_limit.user.updated", "usage_limit.workspace.updated", "user.added", "user.invited", "user.looked_up",
    "user.removed", "user.updated", "workload_identity.access_token.issued", "workload_identity.binding.created",
    "workload_identity.mapping.archived", "workload_identity.mapping.created", "workload_identity.mapping.updated",
    "workload_identity.principal.provisioned", "workload_identity.provider.archived",
    "workload_identity.provider.created", "workload_identity.provider.updated",
    "workspace_invite_email_settings.updated",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EventType;

    #[test]
    fn lists_are_sorted_and_contain_every_event_type_without_a_prefix() {
        assert!(ORGANIZATION_EVENTS.is_sorted() && TENANT_EVENTS.is_sorted());
        for kind in EventType::ALL {
            assert!(
                kind.as_str().starts_with("x.") || is_published(kind.as_str()),
                "{kind:?}"
            );
        }
        assert!(
            is_published("tenant.user.added")
                && !is_published("tenant.nope")
                && !is_published("nope")
        );
    }
}
