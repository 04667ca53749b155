//! Properties of every page: headers, origins, targets, cookies.

use serde_json::json;
use testkit::{Server, ServerOptions};

use super::browser::{Browser, Page, link};
use super::{COOKIE, OWNER, PASSWORD, plain_server, set_password};

const PAGES: [&str; 8] = [
    "/sign-in",
    "/sign-in/link",
    "/sign-in/forgot",
    "/sign-in/again",
    "/sign-out",
    "/invites/accept",
    "/account/password",
    "/sign-in/nowhere",
];
const FORMS: [&str; 8] = [
    "/sign-in",
    "/sign-in/choose",
    "/sign-in/link",
    "/sign-in/forgot",
    "/sign-in/again",
    "/sign-out",
    "/invites/accept",
    "/account/password",
];

fn check_headers(page: &Page, path: &str) {
    let header = |name: &str| {
        let value = page.headers.get(name).map(|value| value.to_str());
        value.and_then(Result::ok).unwrap_or_default().to_owned()
    };
    let policy = header("content-security-policy");
    for part in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ] {
        assert!(policy.contains(part), "{path}: {policy}");
    }
    assert!(!policy.contains("unsafe"), "{path}: {policy}");
    assert_eq!(header("x-frame-options"), "DENY", "{path}");
    assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
    assert_eq!(header("referrer-policy"), "same-origin", "{path}");
    assert_eq!(header("cache-control"), "no-store", "{path}");
    assert_eq!(
        header("cross-origin-opener-policy"),
        "same-origin",
        "{path}"
    );
}

#[tokio::test]
async fn every_page_and_redirect_has_the_security_headers() {
    let server = Server::start().await;
    let mut browser = Browser::new(&server);
    for path in PAGES {
        check_headers(&browser.get(path).await, path);
    }
    for path in FORMS {
        check_headers(&browser.post(path, &[]).await, path);
        let refused = browser.post_from(path, &[], &[]).await;
        check_headers(&refused, path);
    }
    browser.sign_in(&server, OWNER).await;
    for path in PAGES {
        check_headers(&browser.get(path).await, path);
    }
    for path in PAGES.iter().chain(&FORMS) {
        let answer = server.anonymous().call(http::Method::PUT, path, None).await;
        assert!(answer.status.is_client_error(), "{path}");
    }
}

/// Headers of forms that no page of the server has sent.
const FOREIGN: [&[(&str, &str)]; 7] = [
    &[("sec-fetch-site", "cross-site")],
    &[("sec-fetch-site", "same-site")],
    &[
        ("sec-fetch-site", "cross-site"),
        ("origin", "https://orgplane.example"),
    ],
    &[("origin", "https://evil.example")],
    &[("origin", "http://orgplane.example")],
    &[("origin", "null")],
    &[],
];

#[tokio::test]
async fn form_of_another_site_is_refused_and_changes_nothing() {
    let server = Server::start().await;
    set_password(&server, OWNER).await;
    let mut browser = Browser::new(&server);
    browser.sign_in(&server, OWNER).await;
    let token = link(&server, OWNER).await;
    let invite = json!({"email": "grace@acme.example", "role": "reader"});
    server
        .admin()
        .post("/organization/invites", invite)
        .await
        .ok();
    let invitation = server.token("grace@acme.example").await;
    let before = server
        .admin()
        .get("/organization/audit_logs?limit=100")
        .await
        .ok();
    let cookie = browser.cookie(COOKIE).cloned();
    for headers in FOREIGN {
        for path in FORMS {
            let is_link = path == "/sign-in/link";
            let token = if is_link { &token } else { &invitation };
            let fields = [
                ("email", OWNER),
                ("password", PASSWORD),
                ("name", "Grace"),
                ("token", token),
            ];
            let page = browser.post_from(path, &fields, headers).await;
            page.says(403, "The form was not accepted");
        }
    }
    assert_eq!(browser.cookie(COOKIE).cloned(), cookie);
    let after = server
        .admin()
        .get("/organization/audit_logs?limit=100")
        .await
        .ok();
    assert_eq!(before, after);
    assert!(browser.is_signed_in().await);
    // The same form from the server's own page, by a browser that says so in another way.
    let own = [("origin", "https://orgplane.example")];
    let page = browser
        .post_from("/sign-in/link", &[("token", &token)], &own)
        .await;
    assert_eq!(page.location(), "/");
}

#[tokio::test]
async fn sign_in_never_leads_to_another_server() {
    let server = Server::start().await;
    set_password(&server, OWNER).await;
    for target in [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "\\/evil.example",
        "/\t/evil.example",
        "javascript:alert(1)",
        "evil.example",
        "/sign-in?target=//evil.example",
    ] {
        let mut browser = Browser::new(&server);
        let fields = [("email", OWNER), ("password", PASSWORD), ("target", target)];
        let page = browser.post("/sign-in", &fields).await;
        assert_eq!(page.location(), "/", "{target:?}");
        let encoded: String = target.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let page = browser.get(&format!("/sign-in?target={encoded}")).await;
        assert_eq!(page.location(), "/", "{target:?}");
        let page = browser
            .post(
                "/sign-in/again",
                &[("password", PASSWORD), ("target", target)],
            )
            .await;
        assert_eq!(page.location(), "/", "{target:?}");
    }
}

#[tokio::test]
async fn token_is_new_at_each_sign_in_and_never_the_browsers_own() {
    let server = Server::start().await;
    set_password(&server, OWNER).await;
    let fields = [("email", OWNER), ("password", PASSWORD)];
    // An attacker has put a token of an own session, or any text, into the victim's browser.
    let mut attacker = Browser::at(&server, "198.51.100.1");
    attacker.sign_in(&server, "rita@acme.example").await;
    let planted = attacker.cookie(COOKIE).expect("a session").clone();
    for planted in [
        planted.as_str(),
        "session-0123456789abcdefghijklmnopqrstuvwxyz",
    ] {
        let mut victim = Browser::new(&server);
        victim.set_cookie(COOKIE, planted);
        victim.post("/sign-in", &fields).await;
        let token = victim.cookie(COOKIE).expect("a session").clone();
        assert_ne!(token, planted);
        let mut attacker = Browser::at(&server, "198.51.100.1");
        attacker.set_cookie(COOKIE, planted);
        assert!(
            !attacker.is_signed_in().await,
            "the planted session is over"
        );
        victim.post("/sign-in", &fields).await;
        assert_ne!(victim.cookie(COOKIE), Some(&token));
        let mut thief = Browser::at(&server, "198.51.100.2");
        thief.set_cookie(COOKIE, &token);
        assert!(!thief.is_signed_in().await, "one session for one browser");
    }
}

#[tokio::test]
async fn cookie_is_for_this_host_and_no_script() {
    let server = Server::start().await;
    let mut browser = Browser::new(&server);
    let page = browser.sign_in(&server, OWNER).await;
    let [cookie] = &page.set_cookies()[..] else {
        panic!("one cookie");
    };
    let (pair, flags) = cookie.split_once(';').expect("flags");
    assert!(pair.starts_with("__Host-orgplane=session-"), "{cookie}");
    assert_eq!(flags, " Path=/; HttpOnly; SameSite=Lax; Secure");
    let page = browser.post("/sign-out", &[]).await;
    let [cookie] = &page.set_cookies()[..] else {
        panic!("one cookie");
    };
    assert_eq!(
        cookie,
        "__Host-orgplane=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0; Secure"
    );

    let server = plain_server().await;
    let mut browser = Browser::new(&server);
    let page = browser.sign_in(&server, OWNER).await;
    let cookie = &page.set_cookies()[0];
    let (pair, flags) = cookie.split_once(';').expect("flags");
    assert!(pair.starts_with("orgplane=session-"), "{cookie}");
    assert_eq!(flags, " Path=/; HttpOnly; SameSite=Lax");
}

#[tokio::test]
async fn api_and_gateway_never_read_cookies() {
    let server = Server::start().await;
    let mut browser = Browser::new(&server);
    browser.sign_in(&server, OWNER).await;
    for path in [
        "/v1/organization/projects",
        "/v1/organization/users",
        "/v1/models",
    ] {
        let page = browser.get(path).await;
        assert_eq!(page.status, 401, "{path}: {}", page.text);
    }
    for path in ["/v1/organization/projects", "/v1/chat/completions"] {
        let page = browser.post(path, &[("name", "x")]).await;
        assert_eq!(page.status, 401, "{path}: {}", page.text);
    }
}

#[tokio::test]
async fn page_of_another_address_leads_to_the_right_one() {
    let server = Server::start().await;
    let request = http::Request::get("/sign-in?target=/console")
        .header("host", "127.0.0.1:8080")
        .body(axum::body::Body::empty());
    let answer = server.anonymous().send(request.expect("a request")).await;
    assert_eq!(answer.status, 400);
    let text = String::from_utf8_lossy(&answer.bytes);
    assert!(
        text.contains("href=\"https://orgplane.example/sign-in?target=/console\""),
        "{text}"
    );
}

#[tokio::test]
async fn markup_in_a_form_is_text_on_the_page() {
    let server = Server::start().await;
    let mut browser = Browser::new(&server);
    const EVIL: &str = "\"><script>alert(1)</script>";
    for (path, fields) in [
        ("/sign-in", &[("email", EVIL), ("target", EVIL)][..]),
        ("/sign-in/forgot", &[("email", EVIL)]),
        ("/invites/accept", &[("token", EVIL), ("name", EVIL)]),
        ("/sign-in/link", &[("token", EVIL)]),
    ] {
        let page = browser.post(path, fields).await;
        assert_eq!(page.status, 422, "{path}");
        assert!(
            !page.text.contains("<script>alert"),
            "{path}: {}",
            page.text
        );
    }
}

#[tokio::test]
async fn console_leads_to_the_sign_in_and_back() {
    const PAGE: &str = "/console/projects?search=a";
    let server = Server::start().await;
    set_password(&server, OWNER).await;
    let mut browser = Browser::new(&server);
    assert_eq!(browser.get("/").await.location(), "/console");
    let page = browser.get(PAGE).await;
    let to_sign_in = "/sign-in?target=%2Fconsole%2Fprojects%3Fsearch%3Da";
    assert_eq!(page.location(), to_sign_in);
    let target = browser.get(to_sign_in).await.hidden("target");
    let fields = [
        ("email", OWNER),
        ("password", PASSWORD),
        ("target", target.as_str()),
    ];
    let page = browser.post("/sign-in", &fields).await;
    assert_eq!(page.location(), PAGE);
    assert_eq!(browser.get(PAGE).await.status, 200);
    browser.post("/sign-out", &[]).await;
    assert_eq!(browser.get(PAGE).await.location(), to_sign_in);
    // A session that nobody uses ends here as well.
    browser.post("/sign-in", &fields).await;
    server.clock.advance(3_600);
    assert_eq!(browser.get(PAGE).await.location(), to_sign_in);
}

#[tokio::test]
async fn without_the_console_a_sign_in_leads_to_the_page_about_the_user() {
    let options = ServerOptions {
        has_console: false,
        ..ServerOptions::default()
    };
    let server = Server::with(options).await;
    let mut browser = Browser::new(&server);
    let page = browser.get("/account").await;
    assert_eq!(page.location(), "/sign-in?target=%2Faccount");
    browser.sign_in(&server, OWNER).await;
    let page = browser.get("/").await;
    assert_eq!(page.location(), "/account");
    let page = browser.get("/account").await;
    page.says(200, "You are signed in");
    page.says(200, OWNER);
    page.says(200, "href=\"/account/password\"");
    assert!(!page.text.contains("/account/providers"), "{}", page.text);
    page.says(200, "action=\"/sign-out\"");
}
