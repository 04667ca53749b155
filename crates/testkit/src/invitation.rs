//! Users who join an organization by an invitation, read from the mails that wait to be sent.

use admin::Services;
use admin::mail::{QueuedMail, queued};
use base::ids::{Id, UserId};
use serde_json::json;

use crate::Client;

/// Returns the unsent mails, oldest first.
pub(crate) async fn waiting(services: &Services) -> Vec<QueuedMail> {
    let mails = queued(&services.store, &services.pepper).await;
    mails.expect("the database is readable")
}

/// Returns the token of the newest unsent invitation to this address.
pub(crate) async fn token(services: &Services, email: &str) -> String {
    let mails = waiting(services).await;
    let to = mails.iter().rfind(|mail| mail.recipient == email);
    let text = to.expect("a mail to this address").body.to_string();
    let (_, token) = text.split_once("/invites/accept#").expect("a link");
    let end = token.find(|c: char| !c.is_ascii_alphanumeric());
    token[..end.unwrap_or(token.len())].to_owned()
}

/// Invites a user with `role` and without a project, accepts the invitation and returns the id of the user.
pub(crate) async fn join(
    services: &Services,
    (admin, anonymous): (&Client, &Client),
    email: &str,
    role: &str,
) -> UserId {
    let body = json!({"email": email, "role": role, "projects": []});
    let invited = admin.post("/organization/invites", body).await;
    assert!(invited.status.is_success(), "{}", invited.json);
    let token = token(services, email).await;
    let body = json!({"token": token, "name": email});
    let accepted = anonymous.post("/organization/invites/accept", body).await;
    let user = accepted.ok();
    UserId::from_text(user["id"].as_str().expect("an id").to_owned())
}
