//! Attacks by the keys of one project, all at once. Each attack goes on until it is dropped, and none of
//! them needs much of the machine itself: what it costs is spent by the server.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use poll::ScenarioDelay;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::model_stub::{FLOOD, PAUSE};
use crate::wire::{Wire, request};

const MIB_BYTES: usize = 1024 * 1024;
/// Bodies that never end: how many, and how much of each is sent at once.
const SLOW_BODY_COUNT: usize = 64;
const SLOW_BODY_BYTES: usize = 20 * MIB_BYTES;
/// Answers over HTTP/1 that nobody reads: streams, and whole ones.
const UNREAD_STREAM_COUNT: usize = 60;
const UNREAD_ANSWER_COUNT: usize = 30;
/// Streams over HTTP/2 that nobody reads, and the pause between two of a connection.
const CONNECTION_COUNT: usize = 16;
const STREAM_COUNT: usize = 125;
const STREAM_DELAY: Duration = Duration::from_millis(100);
/// Streams over HTTP/2 that nobody reads, more than the ledger's queue has places.
const MAX_CONNECTION_COUNT: usize = 34;
const MAX_STREAM_COUNT: usize = 250;
/// The receive buffer of a client that does not read.
const SMALL_BUFFER_BYTES: u32 = 4 * 1024;
const IDLE_CONNECTION_COUNT: usize = 500;
/// Between the beginnings of two attacks of the same kind, so that the machine of the test is not what is busy.
const STAGGER_DELAY: Duration = Duration::from_millis(80);
/// Before an attack that the server has ended begins anew.
const RETRY_DELAY: Duration = Duration::from_secs(2);
/// The number of connections that repeat a request, and the pause of each between two times.
const REPEATER_COUNT: usize = 4;
const REPEAT_DELAY: Duration = Duration::from_millis(50);
/// Of one report of usage: as many events as days.
const DAY_COUNT: i64 = 2_000;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// A client that attacks from an address of its own, with the keys of one project.
#[derive(Clone)]
pub(super) struct Attacker {
    pub(super) server: SocketAddr,
    pub(super) from: SocketAddr,
    pub(super) keys: Vec<String>,
}

impl Attacker {
    /// Begins all of it.
    pub(super) fn begin(&self) -> JoinSet<()> {
        let mut attacks = JoinSet::new();
        let key = |number: usize| self.keys[number % self.keys.len()].clone();
        for number in 0..SLOW_BODY_COUNT {
            attacks.spawn(later(number, self.clone().slow_body(key(number))));
        }
        for number in 0..UNREAD_STREAM_COUNT + UNREAD_ANSWER_COUNT {
            let streams = number < UNREAD_STREAM_COUNT;
            attacks.spawn(later(
                number,
                self.clone().unread_answer(key(number), streams),
            ));
        }
        for number in 0..CONNECTION_COUNT {
            attacks.spawn(later(number, self.clone().unread_streams(key(number))));
        }
        for _ in 0..IDLE_CONNECTION_COUNT {
            attacks.spawn(self.clone().idle_connection());
        }
        for number in 0..REPEATER_COUNT {
            let texts = request("POST", "/chat/completions", &key(number), &huge_text());
            let list = request("GET", "/files?limit=100", &key(number), "");
            let report = request(
                "POST",
                "/organization/usage/events",
                &key(number),
                &report(number),
            );
            for bytes in [texts, list, report] {
                attacks.spawn(self.clone().repeat(bytes));
            }
        }
        attacks
    }

    async fn connect(&self) -> Option<TcpStream> {
        let socket = TcpSocket::new_v4().ok()?;
        socket.set_recv_buffer_size(SMALL_BUFFER_BYTES).ok()?;
        socket.bind(self.from).ok()?;
        socket.connect(self.server).await.ok()
    }

    /// Sends most of a body, and then a byte at a time. Begins anew when the server has had enough.
    async fn slow_body(self, key: String) {
        let piece = vec![b' '; MIB_BYTES];
        let length = 60 * MIB_BYTES;
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        loop {
            if let Some(mut stream) = self.connect().await {
                let mut taken = stream.write_all(head.as_bytes()).await;
                for _ in 0..SLOW_BODY_BYTES / MIB_BYTES {
                    if taken.is_ok() {
                        taken = stream.write_all(&piece).await;
                    }
                }
                while taken.is_ok() {
                    ScenarioDelay(4 * REPEAT_DELAY).elapse().await;
                    taken = stream.write_all(b" ").await;
                }
            }
            ScenarioDelay(RETRY_DELAY).elapse().await;
        }
    }

    /// Asks for more than fits into any buffer, and reads none of it.
    async fn unread_answer(self, key: String, streams: bool) {
        let body = json!({"model": "cheap", "stream": streams, "messages": [{"role": "user", "content": FLOOD}]});
        let bytes = request("POST", "/chat/completions", &key, &body.to_string());
        let mut connections = Vec::new();
        if let Some(mut stream) = self.connect().await
            && stream.write_all(&bytes).await.is_ok()
        {
            connections.push(stream);
        }
        std::future::pending::<()>().await;
    }

    /// Fills a connection with streams whose windows are closed.
    async fn unread_streams(self, key: String) {
        let streams = self.open_streams(&key, STREAM_COUNT, STREAM_DELAY).await;
        std::future::pending::<()>().await;
        drop(streams);
    }

    /// Opens more streams than the ledger's queue has places, all with one key, and waits until each has an answer's head
    /// or none. They stay open until what comes back is dropped.
    pub(super) async fn take_all_places(&self) -> Vec<JoinSet<()>> {
        let mut connections = JoinSet::new();
        for _ in 0..MAX_CONNECTION_COUNT {
            let (attacker, key) = (self.clone(), self.keys[0].clone());
            connections.spawn(async move {
                attacker
                    .open_streams(&key, MAX_STREAM_COUNT, Duration::ZERO)
                    .await
            });
        }
        connections.join_all().await
    }

    /// Opens streams on a new connection. They are kept, unread, until what comes back is dropped.
    async fn open_streams(&self, key: &str, streams: usize, pause: Duration) -> JoinSet<()> {
        let mut kept = JoinSet::new();
        let Some(stream) = self.connect().await else {
            return kept;
        };
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.initial_stream_window_size(0);
        let Ok((mut sender, connection)) = builder.handshake(TokioIo::new(stream)).await else {
            return kept;
        };
        kept.spawn(async move {
            let _ = connection.await;
        });
        let body = json!({"model": "cheap", "stream": true, "messages": [{"role": "user", "content": PAUSE}]});
        let body = Bytes::from(body.to_string());
        let mut answers = Vec::new();
        for _ in 0..streams {
            ScenarioDelay(pause).elapse().await;
            let request = Request::post("http://x/v1/chat/completions")
                .header("authorization", format!("Bearer {key}"))
                .header("content-type", "application/json")
                .body(Full::new(body.clone()));
            if sender.ready().await.is_err() {
                break;
            }
            answers.push(sender.send_request(request.expect("a request")));
        }
        let mut unread = Vec::new();
        for answer in answers {
            unread.extend(answer.await);
        }
        kept.spawn(async move {
            std::future::pending::<()>().await;
            drop(unread);
        });
        kept
    }

    async fn idle_connection(self) {
        loop {
            if let Some(stream) = self.connect().await {
                // Until the server closes it.
                let mut nothing = [0; 1];
                let _ = stream.readable().await;
                let _ = stream.try_read(&mut nothing);
            }
            ScenarioDelay(RETRY_DELAY).elapse().await;
        }
    }

    async fn repeat(self, bytes: Vec<u8>) {
        let mut wire = Wire::to(&self.server.to_string()).from(self.from);
        loop {
            // Refused or not, it is asked again.
            let _ = wire.exchange(&bytes, REQUEST_TIMEOUT).await;
            ScenarioDelay(REPEAT_DELAY).elapse().await;
        }
    }
}

/// Begins an attack after those of a lower number.
async fn later(number: usize, attack: impl Future<Output = ()>) {
    let stagger = STAGGER_DELAY * u32::try_from(number).unwrap_or_default();
    ScenarioDelay(stagger).elapse().await;
    attack.await;
}

/// A text that looks like the beginning of many files.
fn huge_text() -> String {
    let text = ";base64,".repeat(MIB_BYTES / 8);
    json!({"model": "cheap", "max_tokens": 1, "messages": [{"role": "user", "content": text}]})
        .to_string()
}

/// Usage of many days.
fn report(number: usize) -> String {
    let today = base::Clock::system().now().0;
    let event = |day: i64| {
        json!({"id": format!("hostile-{number}-{day}"), "timestamp": today - day * 86_400, "type": "completions",
               "input_tokens": 1, "output_tokens": 1, "model": "cheap"})
    };
    let events: Vec<_> = (0..DAY_COUNT).map(event).collect();
    json!(events).to_string()
}
