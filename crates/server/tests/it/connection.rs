//! A bare connection, on which a test says what no decent client would.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use tokio::time::Instant;

/// Timeout for an immediate response.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(60);

pub struct Connection(TcpStream);

/// Bytes received until the server closed the connection.
#[derive(Debug)]
pub struct Answer {
    /// Everything; empty when the server just closed it.
    pub text: String,
    /// Time until the close.
    pub after: Duration,
}

impl Connection {
    /// To the server at `http://…` or `https://…`.
    pub fn to(address: &str) -> Self {
        let stream = TcpStream::connect(address.trim_start_matches(|c: char| !c.is_ascii_digit()))
            .expect("it listens");
        stream.set_nodelay(true).expect("a socket");
        stream
            .set_write_timeout(Some(RESPONSE_TIMEOUT))
            .expect("a socket");
        Self(stream)
    }

    /// Sends bytes; whether the server still takes them.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).is_ok()
    }

    /// Reads until the server closes the connection, which it must do within `patience`.
    #[track_caller]
    pub fn answer_within(&mut self, patience: Duration) -> Answer {
        self.read(patience)
            .expect("the server answers, or hangs up")
    }

    /// Reads until the server closes the connection, which it must do at once.
    #[track_caller]
    pub fn answer(&mut self) -> Answer {
        self.answer_within(RESPONSE_TIMEOUT)
    }

    /// As [`Connection::answer`], for bytes that may be the beginning of more: says after a moment that there is none.
    #[track_caller]
    pub fn answer_to_what_may_be_unfinished(&mut self) -> Answer {
        if let Some(answer) = self.read(Duration::from_millis(20)) {
            return answer;
        }
        // It fails when the server has closed the connection meanwhile.
        let _ = self.0.shutdown(Shutdown::Write);
        self.answer()
    }

    /// Returns the bytes received until the close; `None` without a close within the timeout.
    fn read(&mut self, patience: Duration) -> Option<Answer> {
        let (started, mut bytes, mut buffer) = (Instant::now(), Vec::new(), [0; 16 * 1024]);
        loop {
            let left = patience.checked_sub(started.elapsed())?;
            let left = left.max(Duration::from_millis(1));
            self.0.set_read_timeout(Some(left)).expect("a socket");
            match self.0.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => bytes.extend_from_slice(&buffer[..length]),
                Err(error)
                    if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()) => {}
                // Closed while we were still sending.
                Err(_) => break,
            }
        }
        Some(Answer {
            text: String::from_utf8_lossy(&bytes).into_owned(),
            after: started.elapsed(),
        })
    }
}

impl Answer {
    /// The status of the first response; `None` when the server said nothing.
    pub fn status(&self) -> Option<u16> {
        let version_and_rest = self.text.strip_prefix("HTTP/1.");
        version_and_rest?.get(2..5)?.parse().ok()
    }

    /// The code in the error envelope.
    #[track_caller]
    pub fn code(&self) -> String {
        let (_, body) = self.text.split_once("\r\n\r\n").expect("a head and a body");
        let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
        let error = body["error"].as_object().expect("the envelope");
        let keys: Vec<_> = error.keys().map(String::as_str).collect();
        assert_eq!(keys, ["code", "message", "param", "type"]);
        error["code"].as_str().unwrap_or_default().to_owned()
    }
}
