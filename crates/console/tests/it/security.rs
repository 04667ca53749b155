//! Protection of the console in browsers: origins, headers, recent sign-in.

use http::{Method, StatusCode};
use testkit::Server;

use crate::visitor::Visitor;

#[tokio::test]
async fn nobody_sees_a_page_without_a_session() {
    let server = Server::start().await;
    let visitor = Visitor::owner(&server).await;
    for cookie in ["", "__Host-orgplane=nonsense", "orgplane=nonsense"] {
        let headers = [("cookie", cookie)];
        let page = visitor
            .request(Method::GET, "/console/users?a=1", &headers, "")
            .await;
        assert_eq!(page.status, StatusCode::SEE_OTHER);
        assert_eq!(
            page.header("location"),
            "/sign-in?target=%2Fconsole%2Fusers%3Fa%3D1"
        );
    }
    // On https, a cookie that another host of the domain could have set does not count.
    let plain = format!("orgplane={}", visitor.token());
    let page = visitor
        .request(Method::GET, "/console/users", &[("cookie", &plain)], "")
        .await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    // The API reads no cookies.
    let page = visitor
        .send(Method::GET, "/v1/organization/users", &[], "")
        .await;
    assert_eq!(page.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn form_of_another_site_changes_nothing() {
    let server = Server::start().await;
    let visitor = Visitor::owner(&server).await;
    for headers in [
        &[("sec-fetch-site", "cross-site")][..],
        &[("sec-fetch-site", "same-site")],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
        &[],
    ] {
        let page = visitor
            .send(Method::POST, "/console/projects/new", headers, "name=Evil")
            .await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{headers:?}");
    }
    let headers = [("origin", "https://orgplane.example")];
    let page = visitor
        .send(Method::POST, "/console/projects/new", &headers, "name=Good")
        .await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    let list = visitor.get("/console/projects").await.ok();
    list.says("Good");
    assert!(!list.text().contains("Evil"));
}

#[tokio::test]
async fn pages_have_the_headers_that_browsers_need() {
    let server = Server::start().await;
    let visitor = Visitor::owner(&server).await;
    for path in [
        "/console/projects",
        "/console/nope",
        "/console/me",
        "/console/catalogue",
    ] {
        let page = visitor.get(path).await;
        let policy = page.header("content-security-policy");
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(page.header("cache-control"), "no-store", "{path}");
        assert_eq!(page.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(page.header("referrer-policy"), "same-origin", "{path}");
        // The policy would forbid both.
        assert!(
            !page.html.contains(" style=\"") && !page.html.contains("<script>"),
            "{path}"
        );
        assert!(!page.html.contains(" onclick"), "{path}");
    }
}

#[tokio::test]
async fn dangerous_change_needs_a_recent_sign_in() {
    let server = Server::start().await;
    let visitor = Visitor::owner(&server).await;
    let path = "/console/admin_api_keys/new";
    visitor.get(path).await.ok();
    server.clock.advance(601);
    let page = visitor.get(path).await;
    assert_eq!(
        page.header("location"),
        "/sign-in/again?target=%2Fconsole%2Fadmin_api_keys%2Fnew"
    );
    let page = visitor.post(path, &[("name", "Late")]).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    let keys = server
        .admin()
        .get("/organization/admin_api_keys")
        .await
        .ok();
    assert!(!keys.to_string().contains("Late"));
    // What is not dangerous still works.
    visitor.get("/console/projects/new").await.ok();
}

#[tokio::test]
async fn other_methods_and_bad_forms_are_refused_with_a_page() {
    let server = Server::start().await;
    let visitor = Visitor::owner(&server).await;
    let site = [("sec-fetch-site", "same-origin")];
    let page = visitor
        .send(Method::PUT, "/console/projects", &site, "")
        .await;
    assert_eq!(page.status, StatusCode::METHOD_NOT_ALLOWED);
    let huge = format!("name={}", "x".repeat(2 * 1024 * 1024));
    let page = visitor
        .send(Method::POST, "/console/projects/new", &site, &huge)
        .await;
    assert_eq!(page.status, StatusCode::PAYLOAD_TOO_LARGE);
    for path in [
        "/console/projects/%FF",
        "/console/projects/%00",
        "/console//",
        "/console/projects/x/y/z",
    ] {
        let page = visitor.get(path).await;
        assert!(
            page.status == StatusCode::NOT_FOUND || page.status == StatusCode::BAD_REQUEST,
            "{path} {}",
            page.status
        );
    }
}
