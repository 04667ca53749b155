//! The mail server behind an installation, and the people who are invited through it.

use std::net::TcpListener;

use reqwest::Method;
use serde_json::{Value, json};

use crate::api::Api;
use crate::client_script::python;
use crate::process::Process;

/// First letters of the addresses of [`MailServer::until_sent`].
const LAST: &str = "last-invited-";

/// A mail server that keeps what it is sent. Killed when dropped.
pub struct MailServer(Process);

impl MailServer {
    #[track_caller]
    pub fn start(port: u16) -> Self {
        let mut command = python(&["mail_sink.py"]);
        command.args(["--port", &port.to_string()]);
        let mut process = Process::start(command);
        process.wait_for_line("listening");
        Self(process)
    }

    /// Mails received so far.
    pub fn mails(&self) -> Vec<Value> {
        let text = self.0.stdout();
        let lines = text.lines().filter_map(|line| line.strip_prefix("mail "));
        lines
            .map(|line| serde_json::from_str(line).expect("a mail in JSON"))
            .collect()
    }

    /// Waits for mails.
    #[track_caller]
    pub fn first(&self, count: usize) -> Vec<Value> {
        poll::until_blocking("the mails have come", || self.mails().len() >= count);
        self.mails()
    }

    /// Waits for a mail to this address.
    #[track_caller]
    pub fn until_told(&self, address: &str) {
        poll::until_blocking(address, || {
            self.mails()
                .iter()
                .any(|mail| mail["to"] == json!([address]))
        });
    }

    /// Waits until all mails that are queued by now have come: until an invitation has come that is queued behind them.
    pub async fn until_sent(&self, admin: &Api) {
        let address = format!("{LAST}{}@example.com", self.mails().len());
        let invite = json!({"email": address, "role": "reader", "projects": []});
        admin.post("/organization/invites", &invite).await;
        self.until_told(&address);
    }

    /// Waits for `count` mails, and returns them; no more may be queued by then.
    pub async fn all(&self, admin: &Api, count: usize) -> Vec<Value> {
        self.first(count);
        self.until_sent(admin).await;
        let mut mails = self.mails();
        let is_last = |mail: &Value| {
            mail["to"][0]
                .as_str()
                .is_some_and(|to| to.starts_with(LAST))
        };
        mails.retain(|mail| !is_last(mail));
        assert_eq!(mails.len(), count, "{mails:?}");
        mails
    }
}

/// A port that nobody listens on, for now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("an address").port()
}

pub fn settings(port: u16) -> String {
    format!(
        "public_url = \"https://plane.example/\"\n[smtp]\nurl = \"smtp://127.0.0.1:{port}\"\n\
         from = \"Plane <plane@example.com>\"\n"
    )
}

pub fn token(mail: &Value) -> String {
    let text = mail["text"].as_str().expect("a text");
    let (_, rest) = text
        .split_once("https://plane.example/invites/accept#")
        .expect("a link");
    rest.lines().next().expect("a token").to_owned()
}

/// Answers an invitation; the status and what came back.
pub async fn accept(admin: &Api, body: &Value) -> (u16, Value) {
    let path = "/organization/invites/accept";
    // Without a key: the token is the credential.
    let request = admin.request(Method::POST, path).json(body);
    let mut request = request.build().expect("a request");
    request.headers_mut().clear();
    let response = crate::api::http()
        .execute(request)
        .await
        .expect("an answer");
    let status = response.status().as_u16();
    (status, response.json().await.expect("JSON"))
}

/// Invites people with these names, who accept.
pub async fn join(admin: &Api, mail_server: &MailServer, names: &[&str]) {
    for name in names {
        let email = format!("{}@example.com", name.to_lowercase());
        let invite = json!({"email": email, "role": "reader", "projects": []});
        admin.post("/organization/invites", &invite).await;
    }
    for (name, mail) in names.iter().zip(mail_server.first(names.len())) {
        let (status, user) = accept(admin, &json!({"token": token(&mail), "name": name})).await;
        assert_eq!(status, 200, "{user}");
    }
}
