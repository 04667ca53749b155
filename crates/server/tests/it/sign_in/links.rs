//! Links that sign in once, invitations, and sign-out.

use serde_json::json;
use testkit::{Server, ServerOptions};

use super::browser::{Browser, link};
use super::{COOKIE, OWNER, count, newest};

#[tokio::test]
async fn link_signs_in_once_within_its_time() {
    let server = Server::start().await;
    let token = link(&server, OWNER).await;
    let mut browser = Browser::new(&server);
    browser
        .get("/sign-in/link")
        .await
        .says(200, "data-fragment");
    assert_eq!(
        count(&server, "login.succeeded").await,
        0,
        "looking is not using"
    );
    let page = browser.post("/sign-in/link", &[("token", &token)]).await;
    assert_eq!(page.location(), "/");
    assert!(browser.is_signed_in().await);
    let event = newest(&server, "login.succeeded").await;
    assert_eq!(event["login.succeeded"]["method"], "link");

    let mut other = Browser::at(&server, "192.0.2.2");
    let used = other.post("/sign-in/link", &[("token", &token)]).await;
    used.says(422, "was used already");
    let unknown = other.post("/sign-in/link", &[("token", "x")]).await;
    assert_eq!(used.text, unknown.text);
    let token = link(&server, OWNER).await;
    server.clock.advance(900);
    let late = other.post("/sign-in/link", &[("token", &token)]).await;
    assert_eq!(late.text, unknown.text);
    assert!(other.cookie(COOKIE).is_none());
    // A pasted link is as good as its code.
    let token = format!(
        "https://orgplane.example/sign-in/link#{}",
        link(&server, OWNER).await
    );
    let page = other.post("/sign-in/link", &[("token", &token)]).await;
    assert_eq!(page.location(), "/");
}

#[tokio::test]
async fn two_browsers_cannot_use_one_link_at_once() {
    let server = Server::start().await;
    let token = link(&server, OWNER).await;
    let attempts = (0..8).map(|number| {
        let mut browser = Browser::at(&server, &format!("192.0.2.{number}"));
        let token = token.clone();
        async move {
            browser
                .post("/sign-in/link", &[("token", &token)])
                .await
                .status
        }
    });
    let statuses = futures_util::future::join_all(attempts).await;
    let successes = statuses
        .iter()
        .filter(|status| status.as_u16() == 303)
        .count();
    assert_eq!(successes, 1, "{statuses:?}");
}

#[tokio::test]
async fn mailed_link_signs_in_and_the_page_says_the_same_of_unknown_addresses() {
    let server = Server::start().await;
    let mut browser = Browser::new(&server);
    let ask = async |browser: &mut Browser, email: &str| {
        let page = browser.post("/sign-in/forgot", &[("email", email)]).await;
        page.says(200, "Look into your mailbox");
        page.text.replace(email, "")
    };
    let known = ask(&mut browser, OWNER).await;
    let unknown = ask(&mut browser, "nobody@acme.example").await;
    assert_eq!(known, unknown);
    poll::until("the mail", async || server.mails().await.len() == 1).await;
    let (recipient, text) = server.mails().await.remove(0);
    assert_eq!(recipient, OWNER);
    let (_, token) = text
        .split_once("https://orgplane.example/sign-in/link#")
        .expect("a link");
    let token = token.split_whitespace().next().unwrap_or_default();
    let event = newest(&server, "x.sign_in_link.created").await;
    assert_eq!(event["x.sign_in_link.created"]["origin"], "mail");
    assert!(!event.to_string().contains(token));

    // A second mail within a minute is not sent; a later job shows that the request for it is done.
    ask(&mut browser, OWNER).await;
    ask(&mut browser, "rita@acme.example").await;
    poll::until("the reader's mail", async || {
        server.mails().await.len() == 2
    })
    .await;
    let recipients: Vec<_> = server
        .mails()
        .await
        .into_iter()
        .map(|mail| mail.0)
        .collect();
    assert_eq!(recipients, [OWNER, "rita@acme.example"]);
    let page = browser.post("/sign-in/link", &[("token", token)]).await;
    assert_eq!(page.location(), "/");
    assert!(browser.is_signed_in().await);

    server.clock.advance(60);
    ask(&mut browser, OWNER).await;
    poll::until("another mail", async || server.mails().await.len() == 3).await;
    for bad in ["", "nobody", "a@b@c"] {
        let page = browser.post("/sign-in/forgot", &[("email", bad)]).await;
        page.says(422, "Enter an e-mail address");
    }
}

#[tokio::test]
async fn without_mail_no_link_is_offered() {
    let mut options = ServerOptions::default();
    options.sign_in.has_mailed_links = false;
    let server = Server::with(options).await;
    let mut browser = Browser::new(&server);
    assert!(
        !browser
            .get("/sign-in")
            .await
            .text
            .contains("/sign-in/forgot")
    );
    assert_eq!(browser.get("/sign-in/forgot").await.status, 404);
    let page = browser.post("/sign-in/forgot", &[("email", OWNER)]).await;
    assert_eq!(page.status, 404);
}

#[tokio::test]
async fn invitation_is_accepted_on_a_page_which_signs_in() {
    let server = Server::start().await;
    let invite = json!({"email": "grace@acme.example", "role": "reader"});
    server
        .admin()
        .post("/organization/invites", invite)
        .await
        .ok();
    let token = server.token("grace@acme.example").await;
    let mut browser = Browser::new(&server);
    browser
        .get("/invites/accept")
        .await
        .says(200, "data-fragment");
    // Invitations of earlier versions have the token in the query.
    let page = browser.get(&format!("/invites/accept?token={token}")).await;
    assert_eq!(page.token_field(), token);
    for (token, name, words) in [
        ("x", "Grace", "was used already"),
        (token.as_str(), "", "The name must"),
        (token.as_str(), "a\u{0}b", "The name must"),
    ] {
        let page = browser
            .post("/invites/accept", &[("token", token), ("name", name)])
            .await;
        page.says(422, words);
    }
    let accepted = [("token", token.as_str()), ("name", "Grace")];
    let page = browser.post("/invites/accept", &accepted).await;
    assert_eq!(page.location(), "/account/password?welcome");
    browser
        .get(page.location())
        .await
        .says(200, "Welcome! You are signed in.");
    let event = newest(&server, "login.succeeded").await;
    assert_eq!(event["login.succeeded"]["method"], "invite");
    assert_eq!(
        event["actor"]["session"]["user"]["email"],
        "grace@acme.example"
    );
    let added = newest(&server, "user.added").await;
    assert_eq!(added["actor"], event["actor"]);
    browser.forget();
    let page = browser.post("/invites/accept", &accepted).await;
    page.says(422, "was used already");
    assert!(browser.cookie(COOKIE).is_none());
}

#[tokio::test]
async fn sign_out_ends_the_session_on_the_server() {
    let server = Server::start().await;
    let mut browser = Browser::new(&server);
    browser.sign_in(&server, OWNER).await;
    let token = browser.cookie(COOKIE).expect("a session").clone();
    browser.get("/sign-out").await.says(200, "Sign out");
    assert!(browser.is_signed_in().await, "looking changes nothing");
    let page = browser.post("/sign-out", &[]).await;
    assert_eq!(page.location(), "/sign-in?signed_out=");
    assert!(browser.cookie(COOKIE).is_none());
    browser
        .get(page.location())
        .await
        .says(200, "You are signed out.");
    browser.set_cookie(COOKIE, &token);
    assert!(!browser.is_signed_in().await);
    assert_eq!(count(&server, "logout.succeeded").await, 1);
    // Once more, without a session.
    let page = browser.post("/sign-out", &[]).await;
    assert_eq!(page.location(), "/sign-in?signed_out=");
    assert_eq!(count(&server, "logout.succeeded").await, 1);
}

#[tokio::test]
async fn session_of_a_deleted_user_is_dead() {
    let server = Server::start().await;
    let grace = server.join("grace@acme.example", "reader").await;
    let mut browser = Browser::new(&server);
    browser.sign_in(&server, "grace@acme.example").await;
    assert!(browser.is_signed_in().await);
    let unused = link(&server, "grace@acme.example").await;
    let path = format!("/organization/users/{grace}");
    server.admin().delete(&path).await.ok();
    assert!(!browser.is_signed_in().await);
    let page = browser.post("/sign-in/link", &[("token", &unused)]).await;
    assert_eq!(page.status, 422);
}
