//! Connections of the real server: bounded for each client, and by the files that the process may open.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use tokio::time::Instant;

use crate::connection::Connection;
use crate::installation::{Installation, Server};

/// The time that the server may take for what it does at once on an idle machine.
const WAIT_TIMEOUT: Duration = Duration::from_secs(60);

/// A connection that has asked nothing yet.
fn connect(server: &Server) -> TcpStream {
    let address = server.address.trim_start_matches("http://");
    let stream = TcpStream::connect(address).expect("it listens");
    let timeout = Some(Duration::from_millis(200));
    stream.set_read_timeout(timeout).expect("a socket");
    stream
}

/// True if the server answers on this connection.
fn is_served(mut stream: &TcpStream) -> bool {
    let request = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    if stream.write_all(request).is_err() {
        return false;
    }
    let (began, mut answer) = (Instant::now(), [0; 1024]);
    while began.elapsed() < WAIT_TIMEOUT {
        match stream.read(&mut answer) {
            Ok(length) => return answer[..length].starts_with(b"HTTP/1.1 200"),
            Err(error) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()) => {}
            Err(_) => return false,
        }
    }
    panic!("neither an answer nor an end");
}

#[test]
fn s14_a_client_has_so_many_connections_and_an_idle_one_makes_room() {
    let installation = Installation::new("[server]\nmax_connections_per_address = 4\n");
    let (server, _) = installation.first_serve();
    let first: Vec<_> = (0..4).map(|_| connect(&server)).collect();
    assert!(first.iter().all(is_served), "there is room");
    // None of them has been idle for a second: a fifth is closed until then.
    poll::until_blocking("the limit of connections takes effect", || {
        is_served(&connect(&server))
    });
    // The one that was idle for the longest made room; it is closed a moment later.
    poll::until_blocking("the limit of connections takes effect", || {
        first.iter().filter(|stream| is_served(stream)).count() <= 3
    });
    let open = first.iter().filter(|stream| is_served(stream)).count();
    assert_eq!(open, 3, "no other one was closed");
    let ended = server.stop();
    let lines = ended
        .stderr
        .matches("connection closed: its address")
        .count();
    assert!(lines <= 2, "logged once per interval: {}", ended.stderr);
}

#[test]
fn s14_a_trusted_proxy_has_no_bound_of_its_own() {
    let settings = "trusted_proxies = [\"127.0.0.1\"]\n[server]\nmax_connections_per_address = 2\n";
    let installation = Installation::new(settings);
    let (server, _) = installation.first_serve();
    let streams: Vec<_> = (0..6).map(|_| connect(&server)).collect();
    assert!(streams.iter().all(is_served));
    server.stop();
}

#[test]
fn s14_a_low_soft_limit_of_files_is_raised_at_the_start() {
    let installation = Installation::new("[server]\nmax_connections_per_address = 1000\n");
    let serve = installation.command(&["serve"]);
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", "ulimit -Sn 100; exec \"$0\" serve"])
        .arg(serve.get_program())
        .env_clear()
        .env("TMPDIR", installation.directory())
        .current_dir(installation.directory());
    let server = Server::from(command);
    let streams: Vec<_> = (0..200).map(|_| connect(&server)).collect();
    assert!(streams.iter().all(is_served));
    assert!(!server.process.stderr().contains("not accepted"));
    server.stop();
}

#[test]
fn strangers_10_a_websocket_is_426_over_a_connection_of_its_own() {
    let installation = Installation::new("");
    let server = installation.serve();
    for (path, status, code) in [
        ("/v1/responses", "426", "websocket_unavailable"),
        ("/v1/realtime?model=m", "404", "not_offered"),
    ] {
        let mut connection = Connection::to(&server.address);
        let head = format!(
            "GET {path} HTTP/1.1\r\nhost: h\r\nconnection: close, Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        assert!(connection.send(head.as_bytes()));
        let text = connection.answer_within(Duration::from_secs(30)).text;
        let line = format!("HTTP/1.1 {status} ");
        assert!(text.starts_with(&line), "{path}: {text}");
        assert!(text.contains(&format!("\"{code}\"")), "{text}");
        let names_protocol = text.to_lowercase().contains("\r\nupgrade: http/1.1\r\n");
        assert_eq!(names_protocol, status == "426", "{text}");
    }
    server.stop();
}
