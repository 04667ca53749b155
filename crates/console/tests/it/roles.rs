//! Roles: who has them, how they differ, why a person may do something. Invitations that are handed over by hand.

use http::StatusCode;
use serde_json::json;
use testkit::Server;

use crate::visitor::Visitor;

#[tokio::test]
async fn role_page_tells_permissions_holders_and_differences() {
    let server = Server::start().await;
    let owner = Visitor::owner(&server).await;
    let role =
        |name: &str, permissions: &[&str]| json!({"role_name": name, "permissions": permissions});
    let roles = "/organization/roles";
    let first = role(
        "Auditor",
        &["api.organization.audit_logs.read", "api.roles.read"],
    );
    let auditor = server.admin().post(roles, first).await.ok();
    let second = role("Keeper", &["api.roles.read", "api.groups.read"]);
    server.admin().post(roles, second).await.ok();
    let group = server
        .admin()
        .post("/organization/groups", json!({"name": "Crew"}))
        .await
        .ok();
    let give = json!({"role_id": auditor["id"]});
    let group = group["id"].as_str().expect("an id");
    server
        .admin()
        .post(&format!("/organization/groups/{group}/roles"), give.clone())
        .await
        .ok();
    server
        .admin()
        .post(
            &format!("/organization/groups/{group}/users"),
            json!({"user_id": server.reader_id()}),
        )
        .await
        .ok();
    let member = server.join("mia@acme.example", "reader").await;
    server
        .admin()
        .post(&format!("/organization/users/{member}/roles"), give)
        .await
        .ok();

    let here = format!("/console/roles/{}", auditor["id"].as_str().expect("an id"));
    let page = owner.get(&here).await.ok();
    page.says("Who has it")
        .says("Crew Group")
        .says("mia@acme.example Person");
    assert!(!page.text().contains("Rita"), "through the group alone");
    let other = page.html.split_once(">Keeper<").expect("an option").0;
    let other = other.rsplit_once("value=\"").expect("a value").1;
    let other = other.split('"').next().expect("an id");
    let page = owner.get(&format!("{here}?compare={other}")).await.ok();
    page.says("only this role").says("only Keeper").says("both");

    let page = owner
        .get(&format!("/console/users/{}", server.reader_id()))
        .await
        .ok();
    page.says("role Auditor, by the group Crew");
}

#[tokio::test]
async fn role_is_made_from_the_list_of_permissions() {
    let server = Server::start().await;
    let owner = Visitor::owner(&server).await;
    let fields = [
        ("role_name", "Auditor"),
        ("permissions", "api.organization.audit_logs.read"),
        ("permissions", "api.roles.read"),
    ];
    let created = owner.post("/console/roles/new", &fields).await;
    let page = owner.follow(created).await.ok();
    page.says("Auditor").says("Read the audit log.");
    let edit = format!("{}/edit", page.path);
    let form = owner.get(&edit).await.ok();
    assert_eq!(form.html.matches(" checked>").count(), 2, "{}", form.html);
    let saved = owner
        .post(
            &edit,
            &[("role_name", "Auditor"), ("permissions", "api.roles.read")],
        )
        .await;
    let page = owner.follow(saved).await.ok();
    assert!(!page.text().contains("Read the audit log."));
}

#[tokio::test]
async fn link_of_an_invitation_is_handed_over_by_hand() {
    let server = Server::start().await;
    let owner = Visitor::owner(&server).await;
    let invite = json!({"email": "new@acme.example", "role": "reader"});
    let invite = server.admin().post("/organization/invites", invite).await;
    let id = invite.ok()["id"].as_str().expect("an id").to_owned();
    let page = owner.get(&format!("/console/invites/{id}")).await.ok();
    let mailed = server.token("new@acme.example").await;
    let link = page.link("/link");
    owner
        .get(&link)
        .await
        .ok()
        .says("The link in the mail does not work any more");
    let page = owner.post(&link, &[]).await.ok();
    page.says("Copy the link now");
    let (_, token) = page.html.split_once("/invites/accept#").expect("a link");
    let token = token.split('<').next().expect("a token").to_owned();
    assert!(server.waiting().await.is_empty(), "the mail is not sent");
    let accept = async |token: &str| {
        let body = json!({"token": token, "name": "New"});
        let anonymous = server.anonymous();
        let answer = anonymous.post("/organization/invites/accept", body);
        answer.await.status
    };
    assert_eq!(accept(&mailed).await, StatusCode::BAD_REQUEST);
    assert_eq!(accept(&token).await, StatusCode::OK);
    let page = owner.post(&link, &[]).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    page.says("was accepted already");
}

#[tokio::test]
async fn invitation_of_a_server_without_mail_shows_its_link_at_once() {
    let server = Server::start().await;
    let owner = Visitor::owner(&server).await;
    let form = owner.get("/console/invites/new").await.ok();
    form.says("no mail is sent");
    let fields = [("email", "new@acme.example"), ("role", "reader")];
    let page = owner.post("/console/invites/new", &fields).await.ok();
    page.says("Copy the link now");
    assert_eq!(page.header("cache-control"), "no-store");
    assert!(server.waiting().await.is_empty(), "no mail waits");
    let (_, token) = page.html.split_once("/invites/accept#").expect("a link");
    let token = token.split('<').next().expect("a token");
    let accept = json!({"token": token, "name": "New"});
    let anonymous = server.anonymous();
    let accepted = anonymous.post("/organization/invites/accept", accept);
    assert_eq!(accepted.await.status, StatusCode::OK);
}
