//! Sessions that end on one node are over on the other within a second.

use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use tokio::time::Instant;

use super::World;
use crate::installation::Server;

/// The time within which the end of a session takes effect on all nodes.
const MAX_DELAY: Duration = Duration::from_secs(1);

/// Host and port of the public URL.
const HOST: &str = "localhost:1234";

/// A browser whose requests reach any node, as behind a load balancer.
struct Browser {
    client: Client,
    cookie: String,
}

impl Browser {
    /// Signs in at a node with a link of the command.
    async fn sign_in(world: &World, node: &Server) -> Self {
        let database = world.url();
        let words = [
            "sign-in",
            "link",
            "--email",
            "owner@localhost",
            "--database",
            &database,
        ];
        let ended = world.installation.run(&words);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let (_, token) = ended.stdout.split_once("/sign-in/link#").expect("a link");
        let token = token.lines().next().unwrap_or_default();
        let client = Client::builder().redirect(Policy::none()).build();
        let client = client.expect("a client");
        let request = form(&client, node, "/sign-in/link").body(format!("token={token}"));
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), StatusCode::SEE_OTHER);
        let cookie = response.headers()["set-cookie"].to_str().expect("a cookie");
        let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
        Self { client, cookie }
    }

    /// True if a node takes the session.
    async fn is_signed_in(&self, node: &Server) -> bool {
        let url = format!("{}/sign-in", node.address);
        let request = self.client.get(url).header("host", HOST);
        let response = request.header("cookie", &self.cookie).send().await;
        response.expect("an answer").status() == StatusCode::SEE_OTHER
    }

    async fn sign_out(&self, node: &Server) {
        let request = form(&self.client, node, "/sign-out").header("cookie", &self.cookie);
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), StatusCode::SEE_OTHER);
    }

    /// Waits until a node refuses the session.
    async fn until_ended(&self, node: &Server, since: Instant) {
        while self.is_signed_in(node).await {
            assert!(since.elapsed() < MAX_DELAY, "the session goes on");
        }
    }
}

fn form(client: &Client, node: &Server, path: &str) -> RequestBuilder {
    client
        .post(format!("{}{path}", node.address))
        .header("host", HOST)
        .header("sec-fetch-site", "same-origin")
        .header("content-type", "application/x-www-form-urlencoded")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ended_sessions_are_over_on_all_nodes_within_a_second() {
    let Some(world) = World::start(&format!("public_url = 'http://{HOST}'")) else {
        return;
    };
    let (one, admin) = world.first_node();
    let other = Server::from(world.node(&world.url()));

    // Signed out.
    let browser = Browser::sign_in(&world, &one).await;
    assert!(browser.is_signed_in(&one).await && browser.is_signed_in(&other).await);
    browser.sign_out(&one).await;
    let since = Instant::now();
    assert!(!browser.is_signed_in(&one).await, "at once on its own node");
    browser.until_ended(&other, since).await;

    // Ended by an owner.
    let browser = Browser::sign_in(&world, &other).await;
    assert!(browser.is_signed_in(&one).await && browser.is_signed_in(&other).await);
    let users = admin.get("/organization/users").await;
    let owner = users["data"][0]["id"]
        .as_str()
        .expect("an owner")
        .to_owned();
    let path = format!("/organization/users/{owner}/sessions");
    let ended = admin.request(Method::DELETE, &path).send().await;
    assert_eq!(ended.expect("an answer").status(), StatusCode::OK);
    let since = Instant::now();
    browser.until_ended(&one, since).await;
    browser.until_ended(&other, since).await;
    one.stop();
    other.stop();
}
