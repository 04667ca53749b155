//! `/organization/invites/{invite_id}/link`: a new link of an invitation, for whoever hands it over without a mail.

use base::ids::{Id, InviteId};
use base::permission::ProjectRole;
use base::secret::Secret;
use base::{Error, Permission, Result, UnixTime};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::{INVITE_LIFETIME_SECONDS, INVITES, Invite, InviteStatus};
use crate::literal::literals;
use crate::mail;
use crate::operation::{
    Done, Event, EventType, NoParameters, Operation, Organization, ScopedId, Write, operations,
};
use crate::roles::grant::may_grant;
use crate::{args, tenant_sql};

pub(crate) fn operations() -> Vec<Operation> {
    const LINK: &str = "/organization/invites/{invite_id}/link";
    const ABOUT: &str = "Replaces the link of an invite and returns the new one, which is not mailed, and is valid for 7 days.";
    operations! {
        POST "invites link", LINK, Permission::InvitesWrite, ABOUT, create, extension;
    }
}

literals! {
    InviteLinkObject = "organization.invite.link";
}

/// A new link of an invitation.
#[derive(Serialize, JsonSchema)]
struct InviteLink {
    object: InviteLinkObject,
    /// Id of the invite.
    id: InviteId,
    /// The link. It is shown only here, works once, and is for the invited person alone.
    url: String,
    /// Time at which the link becomes invalid.
    expires_at: UnixTime,
}

async fn create(
    mut cx: Write,
    ScopedId(_, id): ScopedId<Organization, InviteId>,
    _: NoParameters,
) -> Result<Done<InviteLink>> {
    let mut one = tenant_sql!(cx, INVITES, args![]);
    one.push(" AND id = ").bind(&id);
    let invite = cx.find(&id, one, Invite::read).await?;
    if invite.status == InviteStatus::Accepted {
        let message = format!("The invite '{id}' was accepted already.");
        return Err(Error::refused("invite_accepted", message));
    }
    // Whoever has the link has the roles of the invite.
    may_grant(&mut cx, None, invite.role.permissions()).await?;
    for project in &invite.projects {
        let role = ProjectRole::from(project.role);
        may_grant(&mut cx, Some(&project.id), role.permissions()).await?;
    }
    let token = Secret::token(cx.entropy());
    let expires_at = cx.now().plus(INVITE_LIFETIME_SECONDS);
    let update = tenant_sql!(
        cx,
        "UPDATE invites SET token_hash = $3, expires_at = $4 WHERE organization_id = $1 AND id = $2",
        args![&id, cx.pepper().hash_secret(&token), expires_at],
    );
    cx.execute(update).await?;
    // The link in a mail that waits does not work any more.
    mail::withdraw(&mut cx, id.as_str()).await?;
    let public_url = cx.public_url().trim_end_matches('/');
    let url = format!("{public_url}/invites/accept#{}", token.reveal());
    let details = json!({"data": {"email": invite.email}});
    let event = Event::new(EventType::InviteLinkCreated, &id, details);
    let answer = InviteLink {
        object: InviteLinkObject,
        id,
        url,
        expires_at,
    };
    Ok(cx.done(event, answer))
}
