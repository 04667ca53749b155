//! Links that sign in once: at the first start, and by the command.

use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};
use serde_json::json;

use crate::installation::{Installation, Server};

/// A browser without scripts that keeps its cookie.
struct Browser {
    client: Client,
    address: String,
    cookie: Option<String>,
}

impl Browser {
    fn new(server: &Server) -> Self {
        let client = Client::builder().redirect(Policy::none()).build();
        Self {
            client: client.expect("a client"),
            address: server.address.clone(),
            cookie: None,
        }
    }

    async fn redeem(&mut self, link: &str) -> Response {
        let (_, token) = link.split_once("/sign-in/link#").expect("a link");
        let request = self.client.post(format!("{}/sign-in/link", self.address));
        let request = request
            .header("sec-fetch-site", "same-origin")
            .header("host", host(link))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("token={token}"));
        let response = request.send().await.expect("an answer");
        let cookie = response.headers().get("set-cookie");
        let cookie = cookie.and_then(|cookie| cookie.to_str().ok());
        self.cookie = cookie.and_then(|text| text.split(';').next().map(str::to_owned));
        response
    }

    /// True if the sign-in page leads on, as it does for those who have signed in.
    async fn is_signed_in(&self, link: &str) -> bool {
        let request = self.client.get(format!("{}/sign-in", self.address));
        let request = request.header("host", host(link));
        let cookie = self.cookie.clone().unwrap_or_default();
        let response = request.header("cookie", cookie).send().await;
        response.expect("an answer").status() == StatusCode::SEE_OTHER
    }
}

/// Returns the host and port of a link.
fn host(link: &str) -> &str {
    let (_, rest) = link.split_once("://").expect("a URL");
    rest.split('/').next().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn first_start_prints_a_link_that_signs_the_owner_in_once() {
    let installation = Installation::new("");
    let server = installation.serve();
    let link = server.process.line("Sign-in link: ").expect("a link");
    let port = server.address.rsplit(':').next().unwrap_or_default();
    let base = format!("http://localhost:{port}/sign-in/link#");
    assert!(link.starts_with(&base), "{link}");
    let mut browser = Browser::new(&server);
    assert_eq!(browser.redeem(&link).await.status(), StatusCode::SEE_OTHER);
    assert!(browser.is_signed_in(&link).await);
    let used = Browser::new(&server).redeem(&link).await;
    assert_eq!(used.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let ended = server.stop();
    let (_, token) = link.split_once('#').expect("a token");
    assert_eq!(ended.stdout.matches(token).count(), 1, "shown once");
    assert!(!ended.stderr.contains(token), "and never logged");

    // Later starts print none, and say how to make one.
    let server = installation.serve();
    assert!(server.process.line("Sign-in link: ").is_none());
    // A session outlives a restart.
    browser.address.clone_from(&server.address);
    let port = server.address.rsplit(':').next().unwrap_or_default();
    let here = format!("http://localhost:{port}/");
    assert!(browser.is_signed_in(&here).await);
    let ended = server.stop();
    assert!(ended.stderr.contains("orgplane sign-in link"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn command_makes_a_link_for_an_owner_without_any_key() {
    let installation = Installation::new("public_url = 'http://localhost:1234'");
    let (server, admin) = installation.first_serve();
    let ended = installation.run(&["sign-in", "link", "--email", "nobody@localhost"]);
    assert_eq!(ended.code, Some(1));
    assert!(
        ended
            .stderr
            .contains("No user has the address 'nobody@localhost'."),
        "{ended:?}"
    );
    let ended = installation.run(&["sign-in", "link", "--email", "OWNER@localhost"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let (_, link) = ended.stdout.split_once("Sign-in link: ").expect("a link");
    let link = link.lines().next().unwrap_or_default();
    assert!(
        link.starts_with("http://localhost:1234/sign-in/link#"),
        "{link}"
    );
    let mut browser = Browser::new(&server);
    assert_eq!(browser.redeem(link).await.status(), StatusCode::SEE_OTHER);
    assert!(browser.is_signed_in(link).await);
    let log = admin
        .get("/organization/audit_logs?event_types[]=x.sign_in_link.created&limit=1")
        .await;
    let event = &log["data"][0]["x.sign_in_link.created"];
    assert_eq!(event["origin"], json!("command"), "{log}");
    assert!(
        !log.to_string()
            .contains(link.rsplit('#').next().unwrap_or_default())
    );
    server.stop();
}
