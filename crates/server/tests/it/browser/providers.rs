//! Sign-in with an identity provider of others.

use base::Clock;
use identity::{EmailPolicy, IdentityProviderOptions, ProviderSettings, SignInOptions};
use serde_json::json;
use testkit::{Server, ServerOptions};
use tokio::net::TcpListener;

use super::scenario;
use crate::sign_in::browser::link;
use crate::sign_in::providers::provider_process::ProviderProcess;

const OWNER: &str = "ada@acme.example";
const READER: &str = "grace@acme.example";

/// Returns the options of a provider that signs in users of the server's organization.
fn options(server: &Server, issuer: &str) -> SignInOptions {
    let provider = IdentityProviderOptions {
        settings: ProviderSettings {
            id: "company".to_owned(),
            issuer: issuer.to_owned(),
            client_id: "eddsa".to_owned(),
            client_secret: None,
            scopes: vec!["email".to_owned(), "profile".to_owned()],
            subject_claim: "sub".to_owned(),
            groups_claim: None,
        },
        name: "Company account".to_owned(),
        organization: Some(server.organization_id().clone()),
        email_policy: EmailPolicy {
            trust_email: false,
            domains: vec!["acme.example".to_owned()],
        },
        groups: Vec::new(),
        create_as: None,
        authorities: None,
    };
    SignInOptions {
        providers: vec![provider],
        ..SignInOptions::default()
    }
}

#[tokio::test]
async fn people_sign_in_link_join_confirm_and_sign_out_at_a_provider() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    let redirect = format!("{base}/sign-in/callback/company");
    let signed_out = format!("{base}/sign-in/signed-out");
    let arguments = ["--redirect", &redirect, "--signed-out", &signed_out];
    let process = ProviderProcess::start("ORGPLANE_TEST_OIDC", &arguments).await;
    let server = Server::with(ServerOptions {
        clock: Clock::system(),
        public_url: base.clone(),
        ..ServerOptions::default()
    });
    let server = server.await;
    server.join(READER, "reader").await;
    let sign_in = options(&server, &process.issuer);
    let server = server.restart_with(sign_in).await;
    let invite = json!({"email": "invited@acme.example", "role": "reader"});
    server
        .admin()
        .post("/organization/invites", invite)
        .await
        .ok();
    let input = json!({
        "base": base,
        "owner": OWNER,
        "reader": READER,
        "readerLink": format!("/sign-in/link#{}", link(&server, READER).await),
        "invitation": format!("/invites/accept#{}", server.token("invited@acme.example").await),
    });
    let service = tower::make::Shared::new(server.http_service());
    let serving = tokio::spawn(async move { axum::serve(listener, service).await });
    let scenario = tokio::task::spawn_blocking(move || scenario::run("providers", &input));
    scenario.await.expect("the scenario ends well");
    serving.abort();
}
