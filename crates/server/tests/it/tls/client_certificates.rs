//! Certificates of clients, asked for by what an administrator activates.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};

use super::connection::{Client, Connection};
use super::{SETTINGS, secure};
use crate::authority::{Authority, Identity};
use crate::client_script::{drive, python};
use crate::installation::{Installation, Server};
use crate::model_server::{ModelServer, PRICES};

const CHAT: &str = "/v1/chat/completions";
const REQUIRED: (u16, &str) = (401, "client_certificate_required");
const FINE: (u16, &str) = (200, "");

fn question() -> Value {
    json!({"model": PRICES[0].model, "messages": [{"role": "user", "content": "Say hello."}]})
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// An administrator on a connection of their own, without a certificate.
struct Admin {
    connection: Connection,
    key: String,
}

impl Admin {
    /// Starts the server for the first time, and connects to it as this client.
    async fn first(installation: &Installation, client: Client<'_>) -> (Server, Self) {
        let (server, api) = installation.first_serve();
        let connection = client.connect(&server.address).await;
        let admin = Self {
            connection,
            key: api.key,
        };
        (server, admin)
    }

    async fn post(&mut self, path: &str, body: Value) -> Value {
        let path = format!("/v1/organization{path}");
        self.connection.post(&path, &self.key, &body).await
    }

    /// A project and the key of an application in it.
    async fn application(&mut self) -> (String, String) {
        let project = text(&self.post("/projects", json!({"name": "P"})).await["id"]);
        let accounts = format!("/projects/{project}/service_accounts");
        let account = self.post(&accounts, json!({"name": "S"})).await;
        (project, text(&account["api_key"]["value"]))
    }

    async fn upload(&mut self, authority: &Authority) -> String {
        let body = json!({"certificate": authority.pem()});
        text(&self.post("/certificates", body).await["id"])
    }

    /// Activates or deactivates one: in the organization, or where `place` says.
    async fn set(&mut self, place: &str, verb: &str, certificate: &str) {
        let body = json!({"certificate_ids": [certificate]});
        self.post(&format!("{place}/certificates/{verb}"), body)
            .await;
    }
}

impl Connection {
    /// Status and code of the answer to a question with this key, and words of the message.
    async fn ask(&mut self, key: &str) -> ((u16, String), String) {
        let (status, answer) = self.call(Method::POST, CHAT, key, Some(&question())).await;
        let error = &answer["error"];
        let word = |name| error[name].as_str().unwrap_or_default().to_owned();
        ((status, word("code")), word("message"))
    }

    #[track_caller]
    fn asks(
        &mut self,
        key: &str,
        (status, code): (u16, &'static str),
    ) -> impl Future<Output = String> {
        let asked = self.ask(key);
        async move {
            let (told, message) = asked.await;
            assert_eq!(told, (status, code.to_owned()), "{message}");
            message
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_activated_is_asked_for_on_connections_that_are_open_already() {
    let model_server = ModelServer::start();
    let (installation, servers) = secure(&model_server.settings());
    let (server, mut admin) = Admin::first(&installation, Client::new(&servers, None)).await;
    let (clients, foreign) = (Authority::new("Clients"), Authority::new("Strangers"));
    let below = clients.authority("Below");
    let (known, stranger) = (clients.issue("a.example"), foreign.issue("b.example"));
    let deep = below.issue("c.example");
    let whole = Identity {
        certificate: deep.certificate.clone() + &below.pem(),
        key: deep.key.clone(),
    };
    let (project, key) = admin.application().await;
    let (_, other_key) = admin.application().await;
    let certificate = admin.upload(&clients).await;
    let place = format!("/projects/{project}");
    for way in Client::ways(&servers, None) {
        let showing = async |identity| {
            let client = Client {
                shows: identity,
                ..way
            };
            client.connect(&server.address).await
        };
        let mut none = showing(None).await;
        let mut good = showing(Some(&known)).await;
        let mut bad = showing(Some(&stranger)).await;
        for connection in [&mut none, &mut good, &mut bad] {
            connection.asks(&key, FINE).await;
        }

        admin.set(&place, "activate", &certificate).await;
        for _ in 0..2 {
            good.asks(&key, FINE).await;
            let message = none.asks(&key, REQUIRED).await;
            assert!(message.starts_with("The project of this"), "{message}");
            assert!(message.contains("none came"), "{message}");
            let message = bad.asks(&key, REQUIRED).await;
            assert!(message.contains("leads to none of them"), "{message}");
        }
        showing(Some(&whole)).await.asks(&key, FINE).await;
        showing(Some(&deep)).await.asks(&key, REQUIRED).await;
        none.asks(&other_key, FINE).await;

        admin.set("", "activate", &certificate).await;
        admin.set(&place, "deactivate", &certificate).await;
        good.asks(&key, FINE).await;
        let message = none.asks(&other_key, REQUIRED).await;
        assert!(message.starts_with("The organization of"), "{message}");

        admin.set("", "deactivate", &certificate).await;
        for connection in [&mut none, &mut good, &mut bad] {
            connection.asks(&key, FINE).await;
        }
    }
    server.stop();
}

/// The second handshake shows no certificate: it goes on from the first, which did.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_resumed_has_its_certificate() {
    let model_server = ModelServer::start();
    let (installation, servers) = secure(&model_server.settings());
    let (server, mut admin) = Admin::first(&installation, Client::new(&servers, None)).await;
    let clients = Authority::new("Clients");
    let known = clients.issue("a.example");
    let (_, key) = admin.application().await;
    let certificate = admin.upload(&clients).await;
    admin.set("", "activate", &certificate).await;
    for way in Client::ways(&servers, Some(&known)) {
        let config = Arc::new(way.config());
        for is_resumed in [false, true] {
            let connection = way.connect_again(&server.address, &config).await;
            let mut connection = connection.expect("a connection");
            assert_eq!(connection.is_resumed, is_resumed);
            connection.asks(&key, FINE).await;
        }
    }
    server.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_http_shows_no_certificate_but_a_trusted_proxy_may_tell_of_one() {
    let model_server = ModelServer::start();
    let settings = model_server.settings();
    let (installation, servers) = secure(&settings);
    let clients = Authority::new("Clients");
    let (server, mut admin) = Admin::first(&installation, Client::new(&servers, None)).await;
    let (_, key) = admin.application().await;
    let certificate = admin.upload(&clients).await;
    admin.set("", "activate", &certificate).await;
    drop(admin);
    server.stop();

    let client = CertificateDer::from_pem_slice(clients.issue("a.example").certificate.as_bytes());
    let header = format!(":{}:", STANDARD.encode(client.expect("PEM")));
    let from = |network: &str| format!("[tls]\nclient_certificate_header_from = [\"{network}\"]\n");
    for (tls, told, absent) in [
        (String::new(), Err("over plain HTTP"), "over plain HTTP"),
        (
            from("10.0.0.0/8"),
            Err("over plain HTTP"),
            "over plain HTTP",
        ),
        (from("127.0.0.0/8"), Ok(()), "none came"),
    ] {
        installation.configure(&format!("{settings}{tls}"));
        let server = installation.serve();
        let application = server.api(&key);
        let ask = async |header: Option<&str>| {
            let mut request = application.request(Method::POST, "/chat/completions");
            if let Some(header) = header {
                request = request.header("client-cert", header);
            }
            let answer = request.json(&question()).send().await.expect("an answer");
            let status = answer.status().as_u16();
            let answer: Value = answer.json().await.expect("JSON");
            (
                status,
                answer["error"]["message"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned(),
            )
        };
        let (status, message) = ask(Some(&header)).await;
        match told {
            Ok(()) => assert_eq!(status, 200, "{message}"),
            Err(words) => assert!(status == 401 && message.contains(words), "{message}"),
        }
        let (status, message) = ask(None).await;
        assert!(status == 401 && message.contains(absent), "{message}");
        let (status, _) = ask(Some("nonsense")).await;
        assert_eq!(status, 401);
        server.stop();
    }
}

/// A proxy's own certificate would vouch for all of its clients.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_proxy_shows_itself_does_not_count() {
    let model_server = ModelServer::start();
    let (installation, servers) = secure("");
    let proxies = "client_certificate_header_from = [\"127.0.0.1\"]\n";
    installation.configure(&format!("{}{SETTINGS}{proxies}", model_server.settings()));
    let clients = Authority::new("Clients");
    let proxy = clients.issue("proxy.example");
    let (server, mut admin) =
        Admin::first(&installation, Client::new(&servers, Some(&proxy))).await;
    let (_, key) = admin.application().await;
    let certificate = admin.upload(&clients).await;
    admin.set("", "activate", &certificate).await;
    let message = admin.connection.asks(&key, REQUIRED).await;
    assert!(message.contains("none came"), "{message}");
    drop(admin);
    server.stop();
}

#[test]
fn the_official_python_client_shows_a_certificate() {
    let model_server = ModelServer::start();
    let (installation, servers) = secure(&model_server.settings());
    let clients = Authority::new("Clients");
    let directory = installation.directory();
    for (name, authority) in [("servers.pem", &servers), ("clients.pem", &clients)] {
        std::fs::write(directory.join(name), authority.pem()).expect("written");
    }
    clients.issue("a.example").write(directory, "client");
    let (server, admin) = installation.first_serve();
    let mut script = python(&["client_certificates.py"]);
    script.env("ORGPLANE_TEST_CERTIFICATES", directory);
    drive(server, &admin, &mut script);
}
