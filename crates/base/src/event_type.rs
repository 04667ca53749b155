//! Types of audit events.

mod published;

use std::str::FromStr;

pub use published::{UNPREFIXED_TENANT_EVENTS, is_of_tenant, is_published, published};

use crate::names;

macro_rules! event_types {
    ($($subject:ident { $($variant:ident = $name:literal,)* })*) => {
        /// The type of an audit event.
        ///
        /// Names without the prefix `x.` are the contract's; those with it are events that the contract has no name for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[expect(missing_docs, reason = "the names are the contract's own")]
        pub enum EventType { $($($variant,)*)* }

        names! { EventType { $($($variant = $name,)*)* } }

        impl EventType {
            /// Returns the part of access control that an event of this type may have changed.
            #[must_use]
            pub const fn subject(self) -> EventSubject {
                match self { $($(Self::$variant)|* => EventSubject::$subject,)* }
            }
        }
    };
}

/// The part of access control that an event may have changed, and so the part of every cache of it that is stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventSubject {
    /// The API key that is the event's resource.
    ApiKey,
    /// The service account that is the event's resource, and its keys.
    ServiceAccount,
    /// The project that is the event's resource: none of its keys may be used any more, and none of its settings is in force.
    ArchivedProject,
    /// The organization itself, with all its keys and settings.
    Organization,
    /// The sessions of the user that is the event's resource.
    Sessions,
    /// Memberships and roles: the permissions of every key of the organization may have changed.
    Permissions,
    /// A setting of the organization, or of the event's project.
    Setting,
    /// Neither a key, nor a permission, nor a setting.
    Unrelated,
}

event_types! {
    ApiKey {
        ApiKeyCreated = "api_key.created",
        ApiKeyUpdated = "api_key.updated",
        ApiKeyDeleted = "api_key.deleted",
    }
    ServiceAccount {
        ServiceAccountCreated = "service_account.created",
        ServiceAccountUpdated = "service_account.updated",
        ServiceAccountDeleted = "service_account.deleted",
    }
    ArchivedProject {
        ProjectArchived = "project.archived",
    }
    Sessions {
        LoginSucceeded = "login.succeeded",
        LogoutSucceeded = "logout.succeeded",
        SessionEnded = "x.session.ended",
        UserSessionsEnded = "x.user.sessions.ended",
        UserPasswordSet = "x.user.password.set",
        UserPasswordRemoved = "x.user.password.removed",
    }
    Permissions {
        UserAdded = "user.added",
        UserUpdated = "user.updated",
        UserDeleted = "user.deleted",
        InviteAccepted = "invite.accepted",
        GroupDeleted = "group.deleted",
        GroupUserAdded = "x.group.user.added",
        GroupUserRemoved = "x.group.user.removed",
        ProjectGroupAdded = "x.project.group.added",
        ProjectGroupRemoved = "x.project.group.removed",
        RoleUpdated = "role.updated",
        RoleDeleted = "role.deleted",
        RoleAssignmentCreated = "role.assignment.created",
        RoleAssignmentDeleted = "role.assignment.deleted",
    }
    Organization {
        OrganizationCreated = "x.organization.created",
    }
    Setting {
        RateLimitUpdated = "rate_limit.updated",
        CertificatesActivated = "certificates.activated",
        CertificatesDeactivated = "certificates.deactivated",
        ModelPermissionsUpdated = "x.model_permissions.updated",
        ModelPermissionsDeleted = "x.model_permissions.deleted",
        HostedToolPermissionsUpdated = "x.hosted_tool_permissions.updated",
        ServiceTierSettingsUpdated = "x.service_tier_settings.updated",
        DataRetentionUpdated = "x.data_retention.updated",
        SpendLimitUpdated = "x.spend_limit.updated",
        SpendLimitDeleted = "x.spend_limit.deleted",
    }
    // A certificate has no effect before it is activated, and an active one cannot be deleted.
    Unrelated {
        CertificateCreated = "certificate.created",
        CertificateUpdated = "certificate.updated",
        CertificateDeleted = "certificate.deleted",
        ProjectCreated = "project.created",
        ProjectUpdated = "project.updated",
        InviteSent = "invite.sent",
        InviteDeleted = "invite.deleted",
        InviteLinkCreated = "x.invite.link.created",
        GroupCreated = "group.created",
        GroupUpdated = "group.updated",
        RoleCreated = "role.created",
        SpendAlertCreated = "x.spend_alert.created",
        SpendAlertUpdated = "x.spend_alert.updated",
        SpendAlertDeleted = "x.spend_alert.deleted",
        LoginFailed = "login.failed",
        SignInLinkCreated = "x.sign_in_link.created",
        UserIdentityLinked = "x.user.identity.linked",
        UserIdentityUnlinked = "x.user.identity.unlinked",
        BodiesRead = "x.bodies.read",
    }
}

/// The error for a name that is not an event type of this version: another version may have written it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown event type")]
pub struct UnknownEventType;

impl FromStr for EventType {
    type Err = UnknownEventType;

    fn from_str(name: &str) -> Result<Self, UnknownEventType> {
        Self::parse(name).ok_or(UnknownEventType)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_type_is_read_back_from_its_name() {
        for event in EventType::ALL {
            assert_eq!(event.as_str().parse(), Ok(*event));
        }
        assert_eq!(
            "project.renamed".parse::<EventType>(),
            Err(UnknownEventType)
        );
    }
}
