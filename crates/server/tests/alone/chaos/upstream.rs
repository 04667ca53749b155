//! A model server that answers as it should, or sends garbage.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::dice::Dice;

/// Serves until the runtime ends.
pub struct Upstream {
    address: SocketAddr,
    garbage: Arc<AtomicBool>,
}

/// Answers that are none, or none of a model. The connection is closed after each.
const GARBAGE: [&str; 12] = [
    "",
    "\u{0}\u{1}no HTTP at all\r\n\r\n",
    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 8\r\n\r\nnot JSON",
    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{\"choices\":[",
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: {\"choices\":[{\"delta\":\n\ndata: \u{0}\n\n: x\r\r\n",
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\nzz\r\ndata: {}\r\n",
    "HTTP/1.1 500 Oh\r\ncontent-type: text/html\r\ncontent-length: 13\r\n\r\n<h1>Oh.</h1>\n",
    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{\"object\":\"x\",\"usage\":{\"prompt_tokens\":9223372036854775807,\"completion_tokens\":9223372036854775807,\"total_tokens\":1}}",
    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{\"usage\":{\"prompt_tokens\":-5,\"completion_tokens\":\"many\",\"x\":1}}",
    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\ngzip",
    "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
    "HTTP/1.1 999 \u{fffd}\r\ncontent-length: 0\r\n\r\n",
];

impl Upstream {
    pub async fn start(dice: Dice) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let garbage = Arc::<AtomicBool>::default();
        let sends_garbage = Arc::clone(&garbage);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (garbage, dice) = (Arc::clone(&sends_garbage), dice.clone());
                // A client that has gone is no matter.
                tokio::spawn(async move { drop(serve(stream, &garbage, &dice).await) });
            }
        });
        Self { address, garbage }
    }

    /// Returns the table of the configuration file for it.
    pub fn setting(&self) -> String {
        format!(
            "[[upstream]]\nname = \"chaos\"\nbase_url = \"http://{}/v1\"\nmodels = [\"cheap\"]\n\
             [[price]]\nmodel = \"cheap\"\neffective = \"2026-01-01\"\ninput = \"2\"\noutput = \"8\"\n",
            self.address
        )
    }

    /// True while it sends garbage.
    pub fn garbage(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.garbage)
    }

    pub fn send_garbage(&self, garbage: bool) {
        self.garbage.store(garbage, Ordering::SeqCst);
    }
}

/// Answers the requests of a connection.
async fn serve(stream: TcpStream, garbage: &AtomicBool, dice: &Dice) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut path, mut length, mut line) = (String::new(), 0, String::new());
        while line != "\r\n" {
            line.clear();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            if path.is_empty() {
                line.split(' ')
                    .nth(1)
                    .unwrap_or_default()
                    .clone_into(&mut path);
            }
            let lower = line.to_ascii_lowercase();
            if let Some(number) = lower.strip_prefix("content-length:") {
                length = number.trim().parse().unwrap_or(0);
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        if garbage.load(Ordering::SeqCst) {
            return stream.write_all(dice.word(&GARBAGE).as_bytes()).await;
        }
        let streams = String::from_utf8_lossy(&body).contains("\"stream\":true");
        let (kind, text) = answer(&path, streams);
        let length = text.len();
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n{text}"
        );
        stream.write_all(answer.as_bytes()).await?;
    }
}

/// The content type and the text of an answer.
fn answer(path: &str, streams: bool) -> (&'static str, String) {
    let usage = r#""usage":{"prompt_tokens":3,"completion_tokens":5,"input_tokens":3,"output_tokens":5,"total_tokens":8}"#;
    if streams {
        let text = format!(
            "data: {{\"object\":\"chat.completion.chunk\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"a\"}}}}]}}\n\n\
             data: {{\"object\":\"chat.completion.chunk\",\"choices\":[],{usage}}}\n\ndata: [DONE]\n\n"
        );
        return ("text/event-stream", text);
    }
    let object = match path.rsplit('/').next() {
        Some("responses") => r#""object":"response","status":"completed","output":[]"#,
        Some("embeddings") => r#""object":"list","data":[{"embedding":[0.5],"index":0}]"#,
        _ => {
            r#""object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"a"},"finish_reason":"stop"}]"#
        }
    };
    let text = format!(r#"{{"id":"x","model":"cheap",{object},{usage}}}"#);
    ("application/json", text)
}
