//! A model server in the test's own process: it answers every request at once, and remembers what it was sent if it is to.
//!
//! Each answer carries the number of its request (`sent17x`), so that whoever gets the answer can find what was sent.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderMap, Method, header};
use poll::ScenarioDelay;
use tokio::net::TcpListener;

/// The longest body that the gateway passes on.
const MAX_BODY_BYTES: usize = 65 * 1024 * 1024;

/// A request with this word in it is answered with more than fits into any buffer on the way.
pub const FLOOD: &str = "flood the client";
/// A request with this word in it is answered with a stream whose end comes after a pause: a server that cannot pass its
/// beginning on does not get to its end.
pub const PAUSE: &str = "pause before the end";
const PAUSE_DELAY: Duration = Duration::from_millis(200);
/// A request with this in it, and then a number, is answered with a stream that takes so many milliseconds.
pub const LASTING: &str = "a stream that lasts ";
const EVENT_INTERVAL: Duration = Duration::from_millis(50);
const FLOOD_BYTES: usize = 12 * 1024 * 1024;

/// A request with these words in it is answered after [`WORK_DELAY`], with the output tokens of the number after them.
pub const WORK: &str = "output tokens to make: ";
/// Duration of an answer that makes tokens.
pub const WORK_DELAY: Duration = Duration::from_secs(2);

/// Serves until the runtime ends. Clones are of the same server.
#[derive(Clone)]
pub struct ModelStub {
    pub address: SocketAddr,
    memory: Arc<Memory>,
}

#[derive(Default)]
struct Memory {
    remembers: AtomicBool,
    /// Sum of the output tokens that requests with [`WORK`] have asked for.
    made: AtomicU64,
    next: AtomicU64,
    received: Mutex<HashMap<u64, Received>>,
}

/// A request that a model server received.
#[derive(Clone, Debug)]
pub struct Received {
    /// With the query, if there is one.
    pub target: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl ModelStub {
    pub async fn start() -> Self {
        let memory = Arc::<Memory>::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let router = Router::new().fallback(answer);
        let router = router.with_state(Arc::clone(&memory));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, memory }
    }

    /// Returns the table of the configuration file for the stub: with these models, and what clients keep.
    pub fn setting(&self, models: &[&str]) -> String {
        format!(
            "[[upstream]]\nname = \"stub\"\nbase_url = \"http://{}/v1\"\nmodels = {models:?}\nstores = true\n",
            self.address
        )
    }

    /// Returns the output tokens of all requests with [`WORK`], which were made whether or not the answer has arrived.
    pub fn made_tokens(&self) -> u64 {
        self.memory.made.load(Ordering::SeqCst)
    }

    /// Remembers from now on what comes.
    pub fn remember(&self) {
        self.memory.remembers.store(true, Ordering::SeqCst);
    }

    /// Removes and returns the request to which these bytes are the answer.
    pub fn take(&self, answer: &[u8]) -> Option<Received> {
        let number = number_in(answer)?;
        let received = self.memory.received.lock();
        let mut received = received.unwrap_or_else(PoisonError::into_inner);
        received.remove(&number)
    }
}

/// The number in `sent17x`.
fn number_in(answer: &[u8]) -> Option<u64> {
    let text = String::from_utf8_lossy(answer);
    let mut rest = text.as_ref();
    while let Some((_, after)) = rest.split_once("sent") {
        let digits = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(0);
        if digits > 0 && after[digits..].starts_with('x') {
            return after[..digits].parse().ok();
        }
        rest = after;
    }
    None
}

async fn answer(State(memory): State<Arc<Memory>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, MAX_BODY_BYTES).await.unwrap_or_default();
    let number = memory.next.fetch_add(1, Ordering::SeqCst);
    let path = head.uri.path().trim_start_matches("/v1").to_owned();
    let streams = streams(&body);
    if contains(&body, PAUSE) {
        return pausing(number);
    }
    if let Some(time) = number_after(&body, LASTING) {
        return slow(number, Duration::from_millis(time));
    }
    if let Some(tokens) = number_after(&body, WORK) {
        memory.made.fetch_add(tokens, Ordering::SeqCst);
        ScenarioDelay(WORK_DELAY).elapse().await;
        return worked(number, tokens);
    }
    if contains(&body, FLOOD) {
        return flood(streams);
    }
    let (kind, text) = answer_to(&head.method, &path, number, streams);
    if memory.remembers.load(Ordering::SeqCst) {
        let received = Received {
            target: head.uri.to_string(),
            headers: head.headers,
            body: body.to_vec(),
        };
        let mut kept = memory
            .received
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        kept.insert(number, received);
    }
    let answer = Response::builder().header(header::CONTENT_TYPE, kind);
    answer.body(Body::from(text)).expect("an answer")
}

fn contains(body: &[u8], word: &str) -> bool {
    body.windows(word.len()).any(|it| it == word.as_bytes())
}

/// Returns the number that follows these words in a request.
fn number_after(body: &[u8], words: &str) -> Option<u64> {
    let text = String::from_utf8_lossy(body);
    let (_, number) = text.split_once(words)?;
    let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// An answer with this many output tokens.
fn worked(number: u64, tokens: u64) -> Response {
    let text = format!(
        r#"{{"id":"sent{number}x","object":"chat.completion","choices":[{{"index":0,"message":{{"role":"assistant","content":"a"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":1,"completion_tokens":{tokens}}}}}"#
    );
    let answer = Response::builder().header(header::CONTENT_TYPE, "application/json");
    answer.body(Body::from(text)).expect("an answer")
}

/// A stream with an event at a time.
fn slow(number: u64, time: Duration) -> Response {
    let text = stream(number);
    let (event, rest) = text.split_once("\n\n").unwrap_or((&text, ""));
    let (event, rest) = (format!("{event}\n\n"), rest.to_owned());
    let count = u32::try_from(time.as_millis() / EVENT_INTERVAL.as_millis()).unwrap_or(u32::MAX);
    let pieces = std::iter::repeat_n(event, count as usize).chain([rest]);
    let pieces = futures_util::stream::iter(pieces).then(|piece| async {
        ScenarioDelay(EVENT_INTERVAL).elapse().await;
        Ok::<_, Infallible>(Bytes::from(piece))
    });
    let answer = Response::builder().header(header::CONTENT_TYPE, "text/event-stream");
    answer.body(Body::from_stream(pieces)).expect("an answer")
}

/// A stream in two pieces.
fn pausing(number: u64) -> Response {
    let text = stream(number);
    let (first, rest) = text.split_once("\n\n").unwrap_or((&text, ""));
    let (first, rest) = (format!("{first}\n\n"), rest.to_owned());
    let rest = futures_util::stream::once(async move {
        ScenarioDelay(PAUSE_DELAY).elapse().await;
        Ok::<_, Infallible>(Bytes::from(rest))
    });
    let first = futures_util::stream::iter([Ok(Bytes::from(first))]);
    let answer = Response::builder().header(header::CONTENT_TYPE, "text/event-stream");
    let body = Body::from_stream(first.chain(rest));
    answer.body(body).expect("an answer")
}

/// An answer of [`FLOOD_BYTES`]; as a stream, it is made as fast as it is taken.
fn flood(streams: bool) -> Response {
    let (kind, start, end) = match streams {
        true => (
            "text/event-stream",
            "data: {\"choices\":[{\"delta\":{\"content\":\"",
            "\"}}]}\n\n",
        ),
        false => ("application/json", "\"", "\","),
    };
    let piece = format!("{start}{}{end}", "x".repeat(16 * 1024));
    let pieces = std::iter::repeat_n(Bytes::from(piece), FLOOD_BYTES / (16 * 1024));
    let (first, last) = match streams {
        true => ("", "data: [DONE]\n\n"),
        false => (
            "{\"choices\":[",
            "\"\"],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}}",
        ),
    };
    let pieces = [Bytes::from(first)]
        .into_iter()
        .chain(pieces)
        .chain([Bytes::from(last)]);
    let body = Body::from_stream(futures_util::stream::iter(pieces.map(Ok::<_, Infallible>)));
    let answer = Response::builder().header(header::CONTENT_TYPE, kind);
    answer.body(body).expect("an answer")
}

fn streams(body: &[u8]) -> bool {
    let text: String = String::from_utf8_lossy(body)
        .chars()
        .filter(|c| !c.is_whitespace())
        .collect();
    text.contains("\"stream\":true")
}

/// The content type and the text of an answer.
fn answer_to(method: &Method, path: &str, number: u64, streams: bool) -> (&'static str, String) {
    let json = |text: String| ("application/json", text);
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    match segments.as_slice() {
        ["chat", "completions"] | ["completions"] | ["responses"] if streams => {
            ("text/event-stream", stream(number))
        }
        ["audio", "speech"] => ("audio/mpeg", format!("sent{number}x")),
        ["files" | "batches" | "vector_stores", ..] => json(object(method, &segments, number)),
        _ => json(format!(
            r#"{{"id":"sent{number}x","object":"x","created":1,"created_at":1,"model":"cheap","status":"completed","text":"a","data":[{{"b64_json":"YQ==","embedding":[0.5],"index":0}}],"results":[{{"flagged":false}}],"output":[],"choices":[{{"index":0,"text":"a","message":{{"role":"assistant","content":"a"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":1,"completion_tokens":1,"input_tokens":1,"output_tokens":1,"total_tokens":2}}}}"#
        )),
    }
}

fn stream(number: u64) -> String {
    format!(
        "data: {{\"id\":\"sent{number}x\",\"object\":\"chat.completion.chunk\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"a\"}}}}]}}\n\n\
         data: {{\"id\":\"sent{number}x\",\"choices\":[],\"usage\":{{\"prompt_tokens\":1,\"completion_tokens\":1,\"total_tokens\":2}}}}\n\n\
         data: [DONE]\n\n"
    )
}

/// Returns an object that it keeps, or a list of what is in it.
fn object(method: &Method, segments: &[&str], number: u64) -> String {
    let (prefix, kind) = match segments[0] {
        "files" => ("file-", "file"),
        "batches" => ("batch_", "batch"),
        _ => ("vs_", "vector_store"),
    };
    if let [_, _, .., "files" | "search" | "content"] = segments
        && (*method == Method::GET || segments.last() == Some(&"search"))
    {
        return format!(
            r#"{{"object":"list","data":[],"first_id":null,"last_id":null,"has_more":false,"search_query":["sent{number}x"]}}"#
        );
    }
    let id = match segments.get(1) {
        Some(id) => (*id).to_owned(),
        None => format!("{prefix}rec{number}x"),
    };
    if *method == Method::DELETE {
        return format!(r#"{{"id":"{id}","object":"{kind}","deleted":true}}"#);
    }
    format!(
        r#"{{"id":"{id}","object":"{kind}","created_at":1,"bytes":2,"filename":"a","purpose":"assistants","name":"a","status":"completed","usage_bytes":0,"endpoint":"/v1/chat/completions","input_file_id":"file-1","completion_window":"24h","file_counts":{{"in_progress":0,"completed":0,"failed":0,"cancelled":0,"total":0}},"request_counts":{{"total":1,"completed":1,"failed":0}},"metadata":{{"number":"sent{number}x"}}}}"#
    )
}
