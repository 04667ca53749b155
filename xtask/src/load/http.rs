//! A small HTTP/1.1 client: one connection that is kept, one request at a time.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The longest wait for an answer.
const IO_TIMEOUT: Duration = Duration::from_secs(600);

/// An answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// Returns the values of a header.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let found = self.headers.iter().filter(move |(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// A connection to a server.
pub struct Client {
    stream: BufReader<TcpStream>,
    /// The lines that every request has.
    lines: String,
}

impl Client {
    /// Connects to `host:port`; `key` is sent with every request.
    pub fn connect(address: &str, key: &str) -> Result<Self> {
        let headers = [
            ("Host", address),
            ("Authorization", &format!("Bearer {key}")),
        ];
        Self::connect_with(address, &headers)
    }

    /// Connects to `host:port`; the headers, `Host` among them, are sent with every request.
    pub fn connect_with(address: &str, headers: &[(&str, &str)]) -> Result<Self> {
        let stream =
            TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(IO_TIMEOUT))?;
        stream.set_write_timeout(Some(IO_TIMEOUT))?;
        let lines: String = headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        Ok(Self {
            stream: BufReader::with_capacity(64 * 1024, stream),
            lines,
        })
    }

    /// Sends a `GET` and returns the body of the answer; any status but 2xx is an error.
    pub fn get(&mut self, path: &str) -> Result<Vec<u8>> {
        let answer = self.fetch(path)?;
        accept(path, answer.status, answer.body)
    }

    /// Sends a `GET` and returns the answer, whatever its status is.
    pub fn fetch(&mut self, path: &str) -> Result<Answer> {
        let head = format!("GET {path} HTTP/1.1\r\n{}\r\n", self.lines);
        self.stream.get_mut().write_all(head.as_bytes())?;
        self.answer(path)
    }

    /// Sends a `POST` and returns the body of the answer; any status but 2xx is an error.
    pub fn post(&mut self, path: &str, kind: &str, body: &[u8]) -> Result<Vec<u8>> {
        let answer = self.submit(path, kind, body)?;
        accept(path, answer.status, answer.body)
    }

    /// Sends a `POST` and returns the status and the body of the answer.
    pub fn send(&mut self, path: &str, kind: &str, body: &[u8]) -> Result<(u16, Vec<u8>)> {
        let answer = self.submit(path, kind, body)?;
        Ok((answer.status, answer.body))
    }

    /// Sends a `POST` and returns the answer, whatever its status is.
    pub fn submit(&mut self, path: &str, kind: &str, body: &[u8]) -> Result<Answer> {
        let (lines, length) = (&self.lines, body.len());
        let head = format!(
            "POST {path} HTTP/1.1\r\n{lines}Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
        );
        let stream = self.stream.get_mut();
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        self.answer(path)
    }

    /// Sends a `POST` of JSON and returns the JSON of the answer.
    pub fn call(&mut self, path: &str, body: &Value) -> Result<Value> {
        let answer = self.post(path, "application/json", body.to_string().as_bytes())?;
        Ok(serde_json::from_slice(&answer)?)
    }

    fn answer(&mut self, path: &str) -> Result<Answer> {
        read(&mut self.stream).with_context(|| format!("{path}: no answer"))
    }
}

fn accept(path: &str, status: u16, body: Vec<u8>) -> Result<Vec<u8>> {
    if !(200..300).contains(&status) {
        let text = String::from_utf8_lossy(&body);
        bail!("{path} answered {status}: {text}");
    }
    Ok(body)
}

/// Framing of a body: the way its end is found.
enum Framing {
    Unknown,
    Length(usize),
    Chunks,
}

/// Reads an answer that has a length, or comes in chunks.
fn read(stream: &mut impl BufRead) -> Result<Answer> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|word| word.parse().ok());
    let status = status.with_context(|| format!("{line:?} is no status line"))?;
    let mut framing = Framing::Unknown;
    let mut headers = Vec::new();
    loop {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            bail!("the connection ended inside the head");
        }
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        if name.eq_ignore_ascii_case("content-length") {
            framing = Framing::Length(value.trim().parse()?);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            framing = Framing::Chunks;
        }
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    if status == 204 || status == 304 {
        framing = Framing::Length(0);
    }
    let mut body = Vec::new();
    match framing {
        Framing::Unknown => bail!("the answer does not say how long it is"),
        Framing::Length(length) => {
            body.resize(length, 0);
            stream.read_exact(&mut body)?;
        }
        Framing::Chunks => read_chunks(stream, &mut body)?,
    }
    Ok(Answer {
        status,
        headers,
        body,
    })
}

/// Reads chunks, each after its length in hexadecimal digits; the last chunk is empty.
fn read_chunks(stream: &mut impl BufRead, body: &mut Vec<u8>) -> Result<()> {
    let mut line = String::new();
    loop {
        line.clear();
        stream.read_line(&mut line)?;
        let digits = line.split(';').next().unwrap_or_default().trim();
        let length = usize::from_str_radix(digits, 16)
            .with_context(|| format!("{line:?} does not begin a chunk"))?;
        let start = body.len();
        body.resize(start + length, 0);
        stream.read_exact(&mut body[start..])?;
        line.clear();
        stream.read_line(&mut line)?;
        if line.trim_end() != "" || !line.ends_with('\n') {
            bail!("{line:?} does not end a chunk");
        }
        if length == 0 {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_one_after_the_other() {
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: y\r\n\r\nabHTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
        let mut stream = text.as_bytes();
        let first = read(&mut stream).unwrap();
        assert_eq!((first.status, &first.body[..]), (200, &b"ab"[..]));
        assert_eq!(first.values("x").collect::<Vec<_>>(), ["y"]);
        assert_eq!(read(&mut stream).unwrap().status, 404);
        assert!(read(&mut stream).is_err());
        assert!(read(&mut "HTTP/1.1 200 OK\r\n\r\n".as_bytes()).is_err());
    }

    #[test]
    fn chunks_are_put_together() {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let text = format!("{head}2\r\nab\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n{head}0\r\n\r\n");
        let mut stream = text.as_bytes();
        assert_eq!(read(&mut stream).unwrap().body, b"ab0123456789");
        assert_eq!(read(&mut stream).unwrap().body, b"");
        for text in ["2\r\nab\r\n", "2\r\nabc\r\n0\r\n\r\n", "x\r\n", "5\r\nab"] {
            assert!(
                read(&mut format!("{head}{text}").as_bytes()).is_err(),
                "{text}"
            );
        }
    }
}
