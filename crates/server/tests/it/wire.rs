//! A client of HTTP/1.1 that sends exactly the bytes it is given, on a connection that it keeps.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// The longest answer that is read.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// A connection, made anew when the server has closed it.
pub struct Wire {
    address: String,
    from: Option<SocketAddr>,
    stream: Option<TcpStream>,
    received: Vec<u8>,
}

impl std::fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Silence => f.write_str("no answer within the deadline"),
            Self::Broken(error) => write!(f, "no whole answer: {error}"),
        }
    }
}

/// A whole answer.
#[derive(Debug)]
pub struct WireAnswer {
    pub status: u16,
    /// The status line and the headers.
    pub head: String,
    pub body: Vec<u8>,
}

/// The reason why there is no answer.
pub enum NoAnswer {
    /// The deadline passed.
    Silence,
    /// The connection was closed, or what came is not HTTP.
    Broken(io::Error),
}

impl WireAnswer {
    /// The first header of this name, which is given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.split("\r\n").skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    /// The body as text, for messages.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Wire {
    /// To the server at `http://…`.
    pub fn to(address: &str) -> Self {
        Self {
            address: address.trim_start_matches("http://").to_owned(),
            from: None,
            stream: None,
            received: Vec::new(),
        }
    }

    /// Connects from this address of ours.
    pub fn from(mut self, address: SocketAddr) -> Self {
        self.from = Some(address);
        self
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        let server = self.address.parse().map_err(|_| odd("no address"))?;
        let socket = TcpSocket::new_v4()?;
        if let Some(from) = self.from {
            socket.bind(from)?;
        }
        let stream = socket.connect(server).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// Sends a whole request and reads the answer to its end. `HEAD` answers have no body.
    pub async fn exchange(
        &mut self,
        request: &[u8],
        deadline: Duration,
    ) -> Result<WireAnswer, NoAnswer> {
        let was_kept = self.stream.is_some();
        let exchanged = tokio::time::timeout(deadline, self.attempt(request)).await;
        let exchanged = match exchanged {
            // A connection that was kept may have been closed while nobody looked.
            Ok(Err(_)) if was_kept => tokio::time::timeout(deadline, self.attempt(request)).await,
            other => other,
        };
        match exchanged {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(NoAnswer::Broken(error)),
            Err(_) => {
                self.stream = None;
                Err(NoAnswer::Silence)
            }
        }
    }

    async fn attempt(&mut self, request: &[u8]) -> io::Result<WireAnswer> {
        let outcome = self.attempt_on_connection(request).await;
        let closes = |answer: &WireAnswer| {
            let connection = answer.header("connection");
            connection.is_some_and(|it| it.eq_ignore_ascii_case("close"))
        };
        if outcome.as_ref().map_or(true, closes) {
            self.stream = None;
        }
        outcome
    }

    async fn attempt_on_connection(&mut self, request: &[u8]) -> io::Result<WireAnswer> {
        if self.stream.is_none() {
            self.stream = Some(self.connect().await?);
            self.received.clear();
        }
        // A server may refuse a request before it has read all of it.
        if let Some(stream) = &mut self.stream {
            let _ = stream.write_all(request).await;
        }
        let has_no_body = request.starts_with(b"HEAD ");
        loop {
            let head = self.head().await?;
            let status = head.get(9..12).and_then(|status| status.parse().ok());
            let status: u16 = status.ok_or_else(|| odd("no status"))?;
            if (100..200).contains(&status) {
                continue;
            }
            let mut answer = WireAnswer {
                status,
                head,
                body: Vec::new(),
            };
            if !has_no_body && ![204, 304].contains(&status) {
                answer.body = self.body(&answer).await?;
            }
            return Ok(answer);
        }
    }

    async fn head(&mut self) -> io::Result<String> {
        loop {
            let end = self.received.windows(4).position(|it| it == b"\r\n\r\n");
            if let Some(end) = end {
                let head: Vec<u8> = self.received.drain(..end + 4).collect();
                return Ok(String::from_utf8_lossy(&head[..end]).into_owned());
            }
            self.more().await?;
        }
    }

    async fn body(&mut self, answer: &WireAnswer) -> io::Result<Vec<u8>> {
        if answer.header("transfer-encoding").is_some() {
            return self.chunks().await;
        }
        if let Some(length) = answer.header("content-length") {
            let length = length.parse().map_err(|_| odd("no length"))?;
            return self.exactly(length).await;
        }
        while self.more().await.is_ok() {}
        Ok(std::mem::take(&mut self.received))
    }

    async fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let size = loop {
                if let Some(end) = self.received.windows(2).position(|it| it == b"\r\n") {
                    let line: Vec<u8> = self.received.drain(..end + 2).collect();
                    let line = String::from_utf8_lossy(&line[..end]).into_owned();
                    break usize::from_str_radix(&line, 16).map_err(|_| odd("no chunk"))?;
                }
                self.more().await?;
            };
            let chunk = self.exactly(size + 2).await?;
            if size == 0 {
                return Ok(body);
            }
            body.extend_from_slice(&chunk[..size]);
        }
    }

    async fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.received.len() < length {
            self.more().await?;
        }
        Ok(self.received.drain(..length).collect())
    }

    async fn more(&mut self) -> io::Result<()> {
        let stream = self.stream.as_mut().ok_or_else(|| odd("no connection"))?;
        if self.received.len() > MAX_ANSWER_BYTES {
            return Err(odd("too long"));
        }
        match stream.read_buf(&mut self.received).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

fn odd(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// The bytes of a request with a key and, unless it is empty, a JSON body.
pub fn request(method: &str, path: &str, key: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "{method} /v1{path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    head.into_bytes()
}
