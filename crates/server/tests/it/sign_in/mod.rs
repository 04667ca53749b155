//! Sign-in in browsers.

pub(crate) mod browser;
mod links;
mod pages;
mod passwords;
pub(crate) mod providers;
mod throttles;

use testkit::{Server, ServerOptions};

/// The name of the cookie over https.
const COOKIE: &str = "__Host-orgplane";
const OWNER: &str = "ada@acme.example";
const PASSWORD: &str = "correct horse battery";

/// Starts a server under an address over plain http, as on the machine itself.
async fn plain_server() -> Server {
    let options = ServerOptions {
        public_url: "http://localhost:8080".to_owned(),
        ..ServerOptions::default()
    };
    Server::with(options).await
}

/// Sets the owner's password.
async fn set_password(server: &Server, email: &str) {
    let mut browser = browser::Browser::at(server, "198.51.100.200");
    browser.sign_in(server, email).await;
    let page = browser
        .post("/account/password", &[("password", PASSWORD)])
        .await;
    assert_eq!(page.location(), "/account/password?done=set");
    browser.post("/sign-out", &[]).await;
}

/// Returns the newest entry of the audit log of this type, without the time.
async fn newest(server: &Server, kind: &str) -> serde_json::Value {
    let path = format!("/organization/audit_logs?limit=1&event_types[]={kind}");
    server.admin().get(&path).await.ok()["data"][0].clone()
}

/// Returns the number of entries of the audit log of this type.
async fn count(server: &Server, kind: &str) -> usize {
    let path = format!("/organization/audit_logs?limit=100&event_types[]={kind}");
    let list = server.admin().get(&path).await.ok();
    list["data"].as_array().map_or(0, Vec::len)
}
