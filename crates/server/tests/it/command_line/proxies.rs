//! The way to the server through a proxy that the environment names.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::thread::JoinHandle;

use super::recording_server::RecordingServer;
use crate::process::{Ended, Process};

const LIST: [&str; 2] = ["admin:organization:users", "list"];

/// Runs a command with these variables, besides a key of an owner.
fn run(server: &RecordingServer, variables: &[(&str, String)]) -> Ended {
    let mut command = server.command(&LIST);
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    Process::start(command).ended()
}

fn far(scheme: &str) -> (&'static str, String) {
    let url = format!("{scheme}://orgplane.internal.example/v1");
    ("OPENAI_BASE_URL", url)
}

#[tokio::test(flavor = "multi_thread")]
async fn outbound_proxy_of_the_environment_gets_what_has_no_tls() {
    let server = RecordingServer::start().await;
    // The server answers for any host, as a proxy in front of it would.
    let address = server.base_url();
    let proxy = address.trim_end_matches("/v1");
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
        let ended = run(&server, &[far("http"), (name, proxy.to_owned())]);
        assert_eq!(ended.code, Some(0), "{name}: {ended:?}");
        assert!(ended.stdout.contains("ada@acme.example"), "{ended:?}");
    }
    assert_eq!(server.calls().len(), 3);
    let exception = ("NO_PROXY", "internal.example".to_owned());
    let ended = run(
        &server,
        &[far("http"), ("HTTP_PROXY", proxy.to_owned()), exception],
    );
    assert_eq!(ended.code, Some(1), "nobody knows the host: {ended:?}");
    assert_eq!(server.calls().len(), 3);
    // This machine is reached without it.
    let nobody = ("HTTP_PROXY", "http://127.0.0.1:1".to_owned());
    assert_eq!(run(&server, &[nobody]).code, Some(0));
}

/// Takes one connection, and refuses it; what it was asked.
fn refusing() -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let asked = std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().expect("a connection");
        let reader = BufReader::new(connection.try_clone().expect("the same"));
        let lines = reader.lines().map(|line| line.expect("a line"));
        let head = lines.take_while(|line| !line.is_empty()).collect();
        let answer = b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n";
        connection.write_all(answer).expect("written");
        head
    });
    (address, asked)
}

#[tokio::test(flavor = "multi_thread")]
async fn outbound_proxy_of_the_environment_is_asked_for_a_tunnel_for_tls() {
    let server = RecordingServer::start().await;
    let (address, asked) = refusing();
    let proxy = ("https_proxy", format!("http://me:hidden@{address}"));
    let ended = run(&server, &[far("https"), proxy]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let asked = asked.join().expect("it was asked");
    assert_eq!(asked[0], "CONNECT orgplane.internal.example:443 HTTP/1.1");
    assert!(
        asked.contains(&"Proxy-Authorization: Basic bWU6aGlkZGVu".to_owned()),
        "{asked:?}"
    );
    assert!(
        ended.stderr.contains("proxy authorization required"),
        "{ended:?}"
    );
    assert!(
        ended
            .stderr
            .contains(&format!("the proxy http://{address} lead there")),
        "{ended:?}"
    );
    assert!(!ended.stderr.contains("hidden"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn outbound_proxy_that_is_none_is_named() {
    let server = RecordingServer::start().await;
    let ended = run(
        &server,
        &[far("http"), ("HTTP_PROXY", "ftp://me:hidden@h".to_owned())],
    );
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("HTTP_PROXY is not the address of a proxy"),
        "{ended:?}"
    );
    assert!(!ended.stderr.contains("hidden"), "{ended:?}");
}
