//! `/organization/invites`: invitations into the organization, and their acceptance.

mod accept;
pub(crate) mod link;

use base::email::Email;
use base::ids::{Id, InviteId, ProjectId};
use base::permission::{OrganizationRole, ProjectRole};
use base::secret::Secret;
use base::time::SECONDS_PER_DAY;
use base::{Error, Permission, Result, UnixTime};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::Row;
use zeroize::Zeroizing;

pub use accept::{accept_and_sign_in, accept_with_provider};

use crate::list::{Deleted, List, list_item, oldest_first};
use crate::literal::literals;
use crate::mail::{self, Mail};
use crate::operation::{
    Done, Event, EventType, Limit, NoParameters, Operation, Organization, Read, ScopedId, Write,
    open, operations,
};
use crate::projects::users::MemberRole;
use crate::roles::grant::may_grant;
use crate::{args, column, tenant_sql, users};

/// Validity of an invitation, in seconds.
const INVITE_LIFETIME_SECONDS: i64 = 7 * SECONDS_PER_DAY;
/// The most projects of an invitation.
const MAX_PROJECTS: usize = 100;

pub(crate) fn operations() -> Vec<Operation> {
    use Permission::{InvitesRead as CanRead, InvitesWrite as CanWrite};
    const ALL: &str = "/organization/invites";
    const ONE: &str = "/organization/invites/{invite_id}";
    const ACCEPT: &str = "/organization/invites/accept";
    const CREATE: &str = "Creates an invite and sends an email with a link that can be used once.";
    const DELETE: &str = "Deletes an invite that has not been accepted; its link becomes invalid.";
    const ABOUT_ACCEPT: &str =
        "Accepts an invite with the token of its email, and creates the user. Needs no key.";
    let mut all = operations! {
        GET "invites list", ALL, CanRead, "Lists the organization's invites.", list;
        POST "invites create", ALL, CanWrite, CREATE, create;
        GET "invites retrieve", ONE, CanRead, "Retrieves an invite.", retrieve;
        DELETE "invites delete", ONE, CanWrite, DELETE, delete;
    };
    all.push(open("invites accept", ACCEPT, ABOUT_ACCEPT, accept::accept).extension());
    all
}

literals! {
    InviteObject = "organization.invite";
    InviteDeleted = "organization.invite.deleted";
}

/// An invitation into the organization.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Invite {
    object: InviteObject,
    id: InviteId,
    email: String,
    role: OrganizationRole,
    status: InviteStatus,
    created_at: UnixTime,
    expires_at: Option<UnixTime>,
    accepted_at: Option<UnixTime>,
    projects: Vec<InvitedProject>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum InviteStatus {
    Pending,
    Accepted,
    Expired,
}

/// A project that the invited user will be a member of.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct InvitedProject {
    /// Id of the project.
    id: ProjectId,
    /// Role in the project.
    role: MemberRole,
}

const INVITES: &str = "\
    SELECT id, email, role, projects, created_at, expires_at, accepted_at \
    FROM invites WHERE organization_id = $1";

impl Invite {
    /// Reads a row. [`Invite::at`] must be applied afterwards to detect expiry.
    fn read(row: &Row<'_>) -> store::Result<Self> {
        let accepted_at = row.optional_time("accepted_at")?;
        Ok(Self {
            object: InviteObject,
            id: row.id("id")?,
            email: row.get("email")?,
            role: row.word("role", OrganizationRole::parse)?,
            status: if accepted_at.is_some() {
                InviteStatus::Accepted
            } else {
                InviteStatus::Pending
            },
            created_at: row.time("created_at")?,
            expires_at: row.optional_time("expires_at")?,
            accepted_at,
            projects: column::json(row, "projects")?,
        })
    }

    /// Returns the invitation with its status at `now`.
    fn at(mut self, now: UnixTime) -> Self {
        let is_over = self.expires_at.is_some_and(|end| end <= now);
        if self.status == InviteStatus::Pending && is_over {
            self.status = InviteStatus::Expired;
        }
        self
    }
}

list_item!(Invite, id);

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListInvites {
    /// Maximum number of items on the page.
    #[serde(default)]
    limit: Limit<20, 1, 100>,
    /// The id of the last invite of the previous page.
    after: Option<String>,
}

async fn list(mut cx: Read, _: Organization, query: ListInvites) -> Result<List<Invite>> {
    let (list, now) = (tenant_sql!(cx, INVITES, args![]), cx.now());
    let request = oldest_first(query.limit.0, query.after);
    let page = cx
        .page(&request, list.clone(), list, "id", Invite::read)
        .await?;
    Ok(page.map(|invite| invite.at(now)).into())
}

async fn retrieve(
    mut cx: Read,
    ScopedId(_, id): ScopedId<Organization, InviteId>,
    _: NoParameters,
) -> Result<Invite> {
    let mut one = tenant_sql!(cx, INVITES, args![]);
    one.push(" AND id = ").bind(&id);
    let invite = cx.find(&id, one, Invite::read).await?;
    Ok(invite.at(cx.now()))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CreateInvite {
    /// E-mail address that the invitation is sent to.
    email: Email,
    /// Role in the organization.
    role: OrganizationRole,
    /// Projects that the user will be a member of. If absent, the default project with the role `member`; no project if empty.
    #[schemars(length(max = MAX_PROJECTS))]
    projects: Option<Vec<InvitedProject>>,
}

async fn create(mut cx: Write, _: Organization, body: CreateInvite) -> Result<Done<Invite>> {
    refuse_known(&mut cx, &body.email).await?;
    let projects = match body.projects {
        Some(projects) => checked(&mut cx, projects).await?,
        None => default_project(&cx),
    };
    may_grant(&mut cx, None, body.role.permissions()).await?;
    for project in &projects {
        let role = ProjectRole::from(project.role);
        may_grant(&mut cx, Some(&project.id), role.permissions()).await?;
    }
    let token = Secret::token(cx.entropy());
    let expires_at = cx.now().plus(INVITE_LIFETIME_SECONDS);
    let invite = Invite {
        object: InviteObject,
        id: cx.new_id(),
        email: body.email.as_str().to_owned(),
        role: body.role,
        status: InviteStatus::Pending,
        created_at: cx.now(),
        expires_at: Some(expires_at),
        accepted_at: None,
        projects,
    };
    let insert = tenant_sql!(
        cx,
        "INSERT INTO invites (organization_id, id, email, email_key, role, projects, token_hash, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        args![
            &invite.id,
            invite.email.as_str(),
            body.email.key(),
            invite.role.as_str(),
            json!(invite.projects).to_string(),
            cx.pepper().hash_secret(&token),
            invite.created_at,
            expires_at
        ],
    );
    cx.execute(insert).await?;
    let (subject, text) = invite_email(&mut cx, invite.role, &token).await?;
    let mail = Mail {
        about: invite.id.as_str(),
        recipient: &body.email,
        subject,
        body: text,
        expires_at,
    };
    mail::queue(&mut cx, mail).await?;
    let details = json!({"data": {"email": invite.email, "role": invite.role}});
    let event = Event::new(EventType::InviteSent, &invite.id, details);
    Ok(cx.done(event, invite))
}

/// Refuses to invite a user, or the recipient of a pending invitation.
async fn refuse_known(cx: &mut Write, email: &Email) -> Result<()> {
    let refuse = |what: &str| {
        let message = format!("{what} '{}' already exists.", email.as_str());
        Err(Error::refused("already_exists", message).about("email"))
    };
    if users::find_by_email(cx, email.as_str()).await?.is_some() {
        return refuse("A user with the address");
    }
    let mut pending = tenant_sql!(cx, INVITES, args![]);
    pending.push(" AND email_key = ").bind(email.key());
    pending.push(" AND accepted_at IS NULL AND expires_at > ");
    pending.bind(cx.now());
    if cx.fetch_optional(pending, |_| Ok(())).await?.is_some() {
        return refuse("An invite that can still be accepted by");
    }
    Ok(())
}

/// Checks that the projects of an invitation are distinct, exist and are not archived.
async fn checked(cx: &mut Write, projects: Vec<InvitedProject>) -> Result<Vec<InvitedProject>> {
    if projects.len() > MAX_PROJECTS {
        let message = format!("An invite is for at most {MAX_PROJECTS} projects.");
        return Err(Error::invalid("projects", message));
    }
    for (index, project) in projects.iter().enumerate() {
        let refuse = |what: &str| {
            let shown = base::shown(project.id.as_str());
            let message = format!("The project '{shown}' {what}.");
            Err(Error::invalid(format!("projects[{index}].id"), message))
        };
        if projects[..index].iter().any(|other| other.id == project.id) {
            return refuse("is given twice");
        }
        let statement = tenant_sql!(
            cx,
            "SELECT archived_at FROM projects WHERE organization_id = $1 AND id = $2",
            args![&project.id],
        );
        let found = cx
            .fetch_optional(statement, |row| row.optional_time("archived_at"))
            .await?;
        match found {
            None => return refuse("is not in the organization"),
            Some(Some(_)) => return refuse("is archived"),
            Some(None) => {}
        }
    }
    Ok(projects)
}

fn default_project(cx: &Write) -> Vec<InvitedProject> {
    let role = MemberRole::Member;
    let invited = |id: &ProjectId| InvitedProject {
        id: id.clone(),
        role,
    };
    cx.default_project().map(invited).into_iter().collect()
}

/// Returns the subject and the text of an invitation's email.
async fn invite_email(
    cx: &mut Write,
    role: OrganizationRole,
    token: &Secret,
) -> Result<(String, Zeroizing<String>)> {
    let statement = tenant_sql!(cx, "SELECT name FROM organizations WHERE id = $1", args![],);
    let name: Option<String> = cx.fetch_optional(statement, |row| row.get("name")).await?;
    let name = name.ok_or_else(Error::internal)?;
    let public_url = cx.public_url().trim_end_matches('/');
    let (token, role, days) = (
        Zeroizing::new(token.reveal()),
        role.as_str(),
        INVITE_LIFETIME_SECONDS / SECONDS_PER_DAY,
    );
    let text = format!(
        "You are invited to join {name} as {role}. Accept within {days} days:\n\n\
         {public_url}/invites/accept#{token}\n\n\
         Or, where the server has no page for that, with a command:\n\n\
         curl {public_url}/v1/organization/invites/accept -H 'content-type: application/json' \\\n  \
         -d '{{\"token\": \"{token}\", \"name\": \"Your name\"}}'\n\n\
         Either works once. If you expected no invitation, do nothing.\n",
        token = token.as_str()
    );
    Ok((format!("Invitation to {name}"), Zeroizing::new(text)))
}

async fn delete(
    mut cx: Write,
    ScopedId(_, id): ScopedId<Organization, InviteId>,
    _: NoParameters,
) -> Result<Done<Deleted<InviteDeleted>>> {
    let mut one = tenant_sql!(cx, INVITES, args![]);
    one.push(" AND id = ").bind(&id);
    let invite = cx.find(&id, one, Invite::read).await?;
    if invite.status == InviteStatus::Accepted {
        let message = format!("The invite '{id}' was accepted and cannot be deleted.");
        return Err(Error::refused("invite_accepted", message));
    }
    mail::withdraw(&mut cx, id.as_str()).await?;
    let delete = tenant_sql!(
        cx,
        "DELETE FROM invites WHERE organization_id = $1 AND id = $2",
        args![&id],
    );
    cx.execute(delete).await?;
    let answer = Deleted::new(InviteDeleted, &id);
    Ok(cx.done(Event::new(EventType::InviteDeleted, &id, json!({})), answer))
}
