//! The visitor's own account: keys, sessions, usage, preferences.

use http::StatusCode;
use serde_json::json;
use testkit::Server;

use crate::visitor::Visitor;

#[tokio::test]
async fn member_of_a_project_makes_and_ends_own_keys_and_sessions() {
    let server = Server::start().await;
    let member = server.join("mia@acme.example", "reader").await;
    let project = server.default_project_id().to_string();
    let path = format!("/organization/projects/{project}/users");
    server
        .admin()
        .post(&path, json!({"user_id": member, "role": "member"}))
        .await
        .ok();
    let visitor = Visitor::sign_in(&server, &member).await;
    let account = visitor.get("/console/me").await.ok();
    account.says("mia@acme.example").says("Default project");
    let form = visitor.get("/console/me/api_keys/new").await.ok();
    form.says("Default project");
    let fields = [("name", "Mine"), ("project_id", project.as_str())];
    let page = visitor.post("/console/me/api_keys/new", &fields).await.ok();
    page.says("Copy the key now");
    let list = visitor.get("/console/me/api_keys").await.ok();
    list.says("Mine");
    let delete = list.link("/delete");
    visitor.get(&delete).await.ok().says("Delete Mine");
    let deleted = visitor.post(&delete, &[]).await;
    visitor
        .follow(deleted)
        .await
        .ok()
        .says("Create a key to call models");
    visitor
        .get("/console/me/usage")
        .await
        .ok()
        .says("Nothing was spent");

    let elsewhere = Visitor::sign_in(&server, &member).await;
    let sessions = visitor.get("/console/me/sessions").await.ok();
    sessions.says("Linux").says("this browser");
    let ends: Vec<String> = sessions.links();
    let ends: Vec<&String> = ends
        .iter()
        .filter(|link| link.ends_with("/delete"))
        .collect();
    assert_eq!(ends.len(), 2, "{ends:?}");
    let ended = visitor.post(ends[1], &[]).await;
    visitor.follow(ended).await.ok().says("Deleted.");
    let page = elsewhere.get("/console/me").await;
    assert_eq!(
        page.status,
        StatusCode::SEE_OTHER,
        "the other browser is signed out"
    );
}

#[tokio::test]
async fn owner_signs_a_member_out_everywhere() {
    let server = Server::start().await;
    let owner = Visitor::owner(&server).await;
    let reader = Visitor::sign_in(&server, server.reader_id()).await;
    let member = owner
        .get(&format!("/console/users/{}", server.reader_id()))
        .await
        .ok();
    let end = member.link("/sessions/end");
    owner
        .get(&end)
        .await
        .ok()
        .says("Every browser of the person is signed out");
    let ended = owner.post(&end, &[]).await;
    owner.follow(ended).await.ok();
    let page = reader.get("/console/me").await;
    assert!(page.header("location").starts_with("/sign-in"), "{page:?}");
}

#[tokio::test]
async fn preferences_are_kept_in_the_browser() {
    let server = Server::start().await;
    let visitor = Visitor::owner(&server).await;
    let path = "/console/me/preferences";
    let fields = [
        ("time_zone", "Asia/Kolkata"),
        ("theme", "dark"),
        ("target", "/console/users"),
    ];
    let page = visitor.post(path, &fields).await;
    assert_eq!(page.header("location"), "/console/users");
    let cookies: Vec<&str> = page
        .headers
        .get_all("set-cookie")
        .iter()
        .map(|cookie| {
            cookie
                .to_str()
                .expect("visible ASCII")
                .split(';')
                .next()
                .expect("a pair")
        })
        .collect();
    let cookie = format!(
        "{}; __Host-orgplane={}",
        cookies.join("; "),
        visitor.token()
    );
    let page = visitor
        .request(
            http::Method::GET,
            "/console/users",
            &[("cookie", &cookie)],
            "",
        )
        .await;
    assert!(page.html.contains("data-theme=\"dark\""), "{}", page.html);
    assert!(
        page.html.contains("Asia/Kolkata (UTC+05:30)"),
        "{}",
        page.html
    );
    for evil in ["//evil.example", "https://evil.example", "/\\evil.example"] {
        let page = visitor
            .post(path, &[("theme", "dark"), ("target", evil)])
            .await;
        assert_eq!(page.header("location"), "/console/me", "{evil}");
    }
}
