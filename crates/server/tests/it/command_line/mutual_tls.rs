//! A server that wants to see a certificate, and that the machine does not know.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use crate::authority::Authority;
use crate::installation::Installation;
use crate::process::{Ended, Process};

#[test]
fn the_certificate_is_shown_to_a_server_that_is_trusted() {
    let installation = Installation::new("");
    let directory = installation.directory();
    make_certificates(directory);
    let address = serve(directory);
    let run = |variables: &[(&str, &str)], flags: &[&str]| -> Ended {
        let words = [
            "admin:organization:projects",
            "retrieve",
            "proj_1",
            "--format",
            "raw",
        ];
        let mut command = installation.command(&[&words[..], flags].concat());
        command.env("OPENAI_BASE_URL", format!("https://{address}/v1"));
        command.envs(variables.iter().copied());
        Process::start(command).ended()
    };
    let trust = ("SSL_CERT_FILE", "authority.pem");
    let by_variables = [
        trust,
        ("OPENAI_MTLS_CLIENT_CERT_FILE", "client.pem"),
        ("OPENAI_MTLS_CLIENT_KEY_FILE", "client.key"),
    ];
    let by_flags = [
        "--mtls-client-cert-file",
        "client.pem",
        "--mtls-client-key-file",
        "client.key",
    ];
    for ended in [run(&by_variables, &[]), run(&[trust], &by_flags)] {
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(0), "{\"id\":\"proj_1\"}\n"),
            "{ended:?}"
        );
    }

    let ended = run(&[trust], &[]);
    assert_eq!(ended.code, Some(1), "no certificate is shown: {ended:?}");
    let ended = run(&by_variables[..2], &[]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("go together"), "{ended:?}");
    let plain = [&by_flags[..], &["--base-url", "http://127.0.0.1:1"]].concat();
    let ended = run(&[trust], &plain);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("https://"), "{ended:?}");
    let wrong = [
        "--mtls-client-cert-file",
        "client.key",
        "--mtls-client-key-file",
        "absent.key",
    ];
    let ended = run(&[trust], &wrong);
    assert_eq!(ended.code, Some(1), "{ended:?}");
}

/// An authority, and what it has signed: the server's certificate and the client's.
fn make_certificates(directory: &Path) {
    let authority = Authority::new("Acme");
    std::fs::write(directory.join("authority.pem"), authority.pem()).expect("written");
    authority.issue("127.0.0.1").write(directory, "server");
    authority.issue("client.example").write(directory, "client");
}

/// Answers whoever shows a certificate of the authority, until the test's process ends.
fn serve(directory: &Path) -> SocketAddr {
    let certificates = |name: &str| {
        let file =
            CertificateDer::pem_file_iter(directory.join(name)).expect("a file with certificates");
        file.collect::<Result<Vec<_>, _>>().expect("certificates")
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates("authority.pem"));
    let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build();
    let key = PrivateKeyDer::from_pem_file(directory.join("server.key")).expect("a key");
    let config = ServerConfig::builder()
        .with_client_cert_verifier(verifier.expect("a verifier"))
        .with_single_cert(certificates("server.pem"), key);
    let config = Arc::new(config.expect("a server's configuration"));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address");
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let connection = ServerConnection::new(Arc::clone(&config)).expect("a connection");
            answer(StreamOwned::new(connection, stream));
        }
    });
    address
}

/// Reads a request and answers it; a client that was refused has gone.
fn answer(mut stream: impl Read + Write) {
    let (mut request, mut piece) = (Vec::new(), [0; 1024]);
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read(&mut piece) {
            Ok(length @ 1..) => request.extend_from_slice(&piece[..length]),
            _ => return,
        }
    }
    let body = "{\"id\":\"proj_1\"}";
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close",
        body.len()
    );
    let _ = write!(stream, "{head}\r\n\r\n{body}").and_then(|()| stream.flush());
}
