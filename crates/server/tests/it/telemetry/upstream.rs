//! A model server that answers everything alike, and remembers what it was sent.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::response::Response;
use http::{HeaderMap, header};
use tokio::net::TcpListener;

/// A completion that cost 11 + 7 tokens.
const COMPLETION: &str = r#"{"id":"c","object":"chat.completion","model":"real","choices":[],"usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18}}"#;

pub struct Upstream {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<HeaderMap>>>,
}

impl Upstream {
    /// Fails every request whose body has the word `please-fail`.
    pub async fn start() -> Self {
        let asked: Arc<Mutex<Vec<HeaderMap>>> = Arc::default();
        let remember = Arc::clone(&asked);
        let answer = move |request: Request| async move {
            let (head, body) = request.into_parts();
            remember.lock().expect("a lock").push(head.headers);
            let body = to_bytes(body, 1024 * 1024).await.expect("a body");
            let fails = String::from_utf8_lossy(&body).contains("please-fail");
            let response = Response::builder()
                .status(if fails { 500 } else { 200 })
                .header(header::CONTENT_TYPE, "application/json");
            let body = Body::from(if fails { "{}" } else { COMPLETION });
            response.body(body).expect("an answer")
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let router = Router::new().fallback(answer);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, asked }
    }

    /// As the configuration file has it.
    pub fn setting(&self) -> String {
        let address = self.address;
        format!(
            "[[upstream]]\nname = \"local\"\nbase_url = \"http://{address}/v1\"\nmodels = [\"real\"]\n\
             aliases = {{ nick = \"real\" }}\n"
        )
    }

    /// The headers of every request for a model.
    pub fn asked(&self) -> Vec<HeaderMap> {
        self.asked.lock().expect("a lock").clone()
    }
}
