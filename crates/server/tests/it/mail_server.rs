//! The mail server that invitations go to: somebody else's program, which prints what it is given.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::model_server::prepared;
use crate::process::Process;

/// A mail server that keeps what it is sent. Killed when dropped.
pub struct MailServer(Process);

impl MailServer {
    #[track_caller]
    pub fn start(port: u16) -> Self {
        let python = prepared("ORGPLANE_TEST_PYTHON");
        let script = "../../tests/clients/python/mail_sink.py";
        let mut command = Command::new(python);
        command
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(script))
            .args(["--port", &port.to_string()])
            .env("PYTHONDONTWRITEBYTECODE", "1");
        let mut process = Process::start(command);
        process.wait_for_line("listening");
        Self(process)
    }

    /// What came so far.
    pub fn mails(&self) -> Vec<Value> {
        let text = self.0.stdout();
        let lines = text.lines().filter_map(|line| line.strip_prefix("mail "));
        lines
            .map(|line| serde_json::from_str(line).expect("a mail in JSON"))
            .collect()
    }

    /// Waits for mails; then a while longer, for those that should not come.
    #[track_caller]
    pub fn wait_for(&self, count: usize) -> Vec<Value> {
        let started = Instant::now();
        while self.mails().len() < count {
            let waited = started.elapsed();
            assert!(waited < Duration::from_secs(60), "{:?}", self.mails());
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(Duration::from_secs(3));
        let mails = self.mails();
        assert_eq!(mails.len(), count, "{mails:?}");
        mails
    }
}

/// A port that nobody listens on, for now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("an address").port()
}

/// Settings of an installation that mails through it.
pub fn settings(port: u16) -> String {
    format!(
        "public_url = \"https://plane.example/\"\n[smtp]\nurl = \"smtp://127.0.0.1:{port}\"\n\
         from = \"Plane <plane@example.com>\"\n"
    )
}

/// What the link in an invitation says.
pub fn token(mail: &Value) -> String {
    let text = mail["text"].as_str().expect("a text");
    let (_, rest) = text
        .split_once("https://plane.example/invites/accept?token=")
        .expect("a link");
    rest.lines().next().expect("a token").to_owned()
}
