//! The listener itself: its certificate, as its files change, and clients that do not do what they should.

use std::path::Path;
use std::time::Duration;

use reqwest::Method;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::time::Instant;

use super::connection::Client;
use super::secure;
use crate::authority::{Authority, Identity};
use crate::connection::Connection;
use crate::installation::Installation;

fn der(identity: &Identity) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(identity.certificate.as_bytes()).expect("PEM")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_certificate_is_shown_without_a_restart() {
    let (installation, servers) = secure("");
    let directory = installation.directory();
    let (server, admin) = installation.first_serve();
    let client = Client::new(&servers, None);
    let shown = async || client.connect(&server.address).await.server;
    let mut before = client.connect(&server.address).await;

    let renewed = servers.issue("127.0.0.1");
    renewed.write(directory, "server");
    poll::until("the new certificate", async || {
        shown().await == der(&renewed)
    })
    .await;
    let path = "/v1/organization/projects";
    let (status, _) = before.call(Method::GET, path, &admin.key, None).await;
    assert_eq!(status, 200, "the connection from before goes on");

    // Half of a change: its key is still to come.
    let next = servers.issue("127.0.0.1");
    std::fs::write(directory.join("server.pem"), &next.certificate).expect("written");
    let complaint = "tls.key: server.key is not the key of the certificate in server.pem";
    let said = async || server.process.stderr().contains(complaint);
    poll::until("a word about it", said).await;
    assert_eq!(shown().await, der(&renewed));
    next.write(directory, "server");
    poll::until("the next certificate", async || shown().await == der(&next)).await;

    std::fs::remove_file(directory.join("server.key")).expect("removed");
    let said = async || {
        server
            .process
            .stderr()
            .contains("tls.key: server.key cannot be read")
    };
    poll::until("a word about it", said).await;
    assert_eq!(shown().await, der(&next));
    drop(before);
    server.stop();
}

#[test]
fn what_is_wrong_with_the_files_is_named_at_the_start() {
    let (installation, servers) = secure("");
    let directory = installation.directory();
    let good = servers.issue("127.0.0.1");
    let (certificate, key) = (Some(good.certificate.as_str()), Some(good.key.as_str()));
    let other = servers.issue("127.0.0.1");
    let broken = good.certificate.replace("MII", "!!!");
    let other_thing = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let encrypted = good.key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let strange = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    for (certificate, key, words) in [
        (None, key, "tls.certificate: server.pem cannot be read"),
        (certificate, None, "tls.key: server.key cannot be read"),
        (Some("hello"), key, "server.pem holds no certificate in PEM"),
        (key, key, "server.pem holds no certificate in PEM"),
        (Some(&broken), key, "tls.certificate: server.pem is not PEM"),
        (
            Some(other_thing),
            key,
            "server.pem holds a certificate that cannot",
        ),
        (
            certificate,
            certificate,
            "tls.key: server.key holds no private key",
        ),
        (certificate, Some(&encrypted), "or one that is encrypted"),
        (
            certificate,
            Some(strange),
            "server.key holds a key that TLS cannot",
        ),
        (
            certificate,
            Some(&other.key),
            "tls.key: server.key is not the key of",
        ),
    ] {
        replace(&directory.join("server.pem"), certificate);
        replace(&directory.join("server.key"), key);
        assert_no_start(&installation, words);
    }
    installation.configure("[tls]\ncertificate = \"server.pem\"\n");
    assert_no_start(&installation, "tls.certificate is given, but not tls.key");
}

#[track_caller]
fn assert_no_start(installation: &Installation, words: &str) {
    let ended = installation.run(&["serve"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains(words), "{words}: {ended:?}");
    assert!(
        !ended.stdout.contains("Admin key"),
        "nothing was begun: {ended:?}"
    );
}

fn replace(file: &Path, text: Option<&str>) {
    match text {
        Some(text) => std::fs::write(file, text).expect("a file in our directory"),
        None => std::fs::remove_file(file).expect("a file in our directory"),
    }
}

/// With a client that is in the middle of its handshake, and one that is idle after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_waits_for_no_handshake() {
    let (installation, servers) = secure("");
    let server = installation.serve();
    let idle = Client::new(&servers, None).connect(&server.address).await;
    let mut hesitant = Connection::to(&server.address);
    assert!(hesitant.send(&[22, 3, 1]));
    let started = Instant::now();
    server.stop();
    assert!(started.elapsed() < Duration::from_secs(5));
    drop((idle, hesitant));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_shake_hands_is_in_nobodys_way_and_is_given_up() {
    let (installation, servers) = secure("");
    let server = installation.serve();
    let mut silent: Vec<Connection> = (0..50).map(|_| Connection::to(&server.address)).collect();
    for (index, connection) in silent.iter_mut().enumerate() {
        assert!(index % 2 == 0 || connection.send(&[22, 3, 1, 1, 0, 1, 0, 0]));
    }
    let started = Instant::now();
    let mut client = Client::new(&servers, None).connect(&server.address).await;
    let (status, _) = client.call(Method::GET, "/healthz", "", None).await;
    assert_eq!(status, 200);
    assert!(started.elapsed() < Duration::from_secs(5));
    for connection in &mut silent {
        let answer = connection.answer_within(Duration::from_secs(20));
        assert!(answer.status().is_none(), "{answer:?}");
    }
    assert!(started.elapsed() > Duration::from_secs(5));
    server.stop();
}

#[test]
fn plain_http_is_told_to_come_over_tls() {
    let (installation, _) = secure("");
    let server = installation.serve();
    let mut connection = Connection::to(&server.address);
    assert!(connection.send(b"GET /healthz HTTP/1.1\r\nhost: h\r\n\r\n"));
    let answer = connection.answer();
    assert_eq!(
        (answer.status(), answer.code().as_str()),
        (Some(400), "https_required")
    );
    server.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_of_a_stranger_is_not_trusted() {
    let (installation, _) = secure("");
    let server = installation.serve();
    let foreign = Authority::new("Servers");
    let connected = Client::new(&foreign, None)
        .try_connect(&server.address)
        .await;
    assert!(connected.is_err());
    server.stop();
}

#[test]
fn the_address_for_others_is_secure() {
    let (installation, _) = secure("");
    let shown = installation.run(&["config", "show"]).stdout;
    assert!(
        shown.contains("public_url = \"https://localhost:0\""),
        "{shown}"
    );
    assert!(
        shown.contains("[tls]\ncertificate = \"server.pem\"\nkey = \"server.key\"\n"),
        "{shown}"
    );
}
