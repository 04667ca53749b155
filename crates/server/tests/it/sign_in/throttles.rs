//! Throttles of an account and of an address, on all paths to a session.

use testkit::Server;

use super::browser::{Browser, Page};
use super::{OWNER, PASSWORD, set_password};

async fn attempt(server: &Server, number: usize, email: &str, password: &str) -> Page {
    // From everywhere, so that only the account is throttled.
    let mut browser = Browser::at(server, &format!("198.51.{}.{}", number / 250, number % 250));
    browser
        .post("/sign-in", &[("email", email), ("password", password)])
        .await
}

#[tokio::test]
async fn account_is_throttled_from_everywhere_whether_it_exists_or_not() {
    let server = Server::start().await;
    set_password(&server, OWNER).await;
    for email in [OWNER, "nobody@acme.example"] {
        for number in 0..5 {
            let page = attempt(&server, number, email, "wrong horse battery").await;
            assert_eq!(page.status, 422, "{email} {number}");
        }
        let page = attempt(&server, 5, email, "wrong horse battery").await;
        page.says(
            429,
            "Too many attempts with this address have failed. Try again in 1 s",
        );
        assert_eq!(page.headers["retry-after"], "1");
        // The right password is not tried either.
        let page = attempt(&server, 6, email, PASSWORD).await;
        assert_eq!(page.status, 429, "{email}");
        server.clock.advance(1);
        let page = attempt(&server, 7, email, "wrong horse battery").await;
        assert_eq!(page.status, 422, "{email}");
        server.clock.advance(1);
        assert_eq!(attempt(&server, 8, email, PASSWORD).await.status, 429);
    }
    // Others are not concerned; nor is another way to sign in.
    let page = attempt(&server, 9, "rita@acme.example", "wrong horse battery").await;
    assert_eq!(page.status, 422);
    Browser::new(&server).sign_in(&server, OWNER).await;
    server.clock.advance(10);
    assert_eq!(attempt(&server, 10, OWNER, PASSWORD).await.status, 303);
    // A success forgets the failures.
    for number in 11..16 {
        let page = attempt(&server, number, OWNER, "wrong horse battery").await;
        assert_eq!(page.status, 422, "{number}");
    }
}

#[tokio::test]
async fn many_attempts_at_once_are_no_way_around_the_throttle() {
    let server = Server::start().await;
    set_password(&server, OWNER).await;
    let before = server.identity().password_checks();
    let attempts = (0..40).map(|number| attempt(&server, number, OWNER, "wrong horse battery"));
    let pages = futures_util::future::join_all(attempts).await;
    let tried = pages.iter().filter(|page| page.status == 422).count();
    assert_eq!(tried, 5);
    assert_eq!(server.identity().password_checks(), before + 5);
    assert!(
        pages
            .iter()
            .all(|page| [422, 429].contains(&page.status.as_u16()))
    );
}

#[tokio::test]
async fn address_of_a_client_is_throttled_on_all_paths_together() {
    let server = Server::start().await;
    let mut browser = Browser::new(&server);
    let mut refused = 0;
    for number in 0..200 {
        let (path, fields) = match number % 3 {
            0 => ("/sign-in/link", [("token", "x"), ("name", "Eve")]),
            1 => ("/invites/accept", [("token", "x"), ("name", "Eve")]),
            _ => ("/sign-in/choose", [("ticket", "x"), ("organization", "x")]),
        };
        let page = browser.post(path, &fields).await;
        if page.status == 429 {
            page.says(429, "Too many requests from your address");
            assert!(page.headers.contains_key("retry-after"));
            refused += 1;
        }
    }
    assert!(refused > 50, "{refused}");
    // A key from there is throttled, too, and a browser elsewhere is not.
    let page = Browser::at(&server, "192.0.2.2")
        .post("/sign-in/link", &[("token", "x")])
        .await;
    assert_eq!(page.status, 422);
    assert_eq!(browser.post("/sign-in", &[]).await.status, 429);
    // Looking at pages is free.
    assert_eq!(browser.get("/sign-in").await.status, 200);
    let metrics = server.anonymous();
    let request = http::Request::get("/metrics").body(axum::body::Body::empty());
    let answer = metrics.send(request.expect("a request")).await;
    let text = String::from_utf8_lossy(&answer.bytes);
    for reason in ["invalid_link", "invite_token", "invalid_ticket"] {
        let line = format!("orgplane_authentication_failures_total{{reason=\"{reason}\"}} 3");
        assert!(text.contains(&line), "{line}");
    }
}
