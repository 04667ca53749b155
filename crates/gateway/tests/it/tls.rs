//! TLS to upstreams: HTTP/2 by negotiation, and no request to an upstream without a trusted certificate.

use std::net::SocketAddr;
use std::sync::Arc;

use gateway::{CaCertificates, Durability, UpstreamConfig};
use http::Version;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::upstream::{COMPLETION, EVENTS, Reply, Upstream};
use crate::world::{World, config};

/// Host name that no resolver knows.
pub const NAME: &str = "model.internal.example";

const MODEL: &str = r#"{"model":"real"}"#;
const STREAM: &str = r#"{"model":"real","stream":true}"#;

/// Makes a certificate authority. Returns its certificate in PEM, and the acceptor of a server with a certificate for
/// 127.0.0.1 and [`NAME`] that offers these protocols.
pub fn authority(protocols: &[&[u8]]) -> (Vec<u8>, TlsAcceptor) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let root = params.self_signed(&key).expect("a certificate").pem();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(["127.0.0.1".to_owned(), NAME.to_owned()]).expect("a name");
    let certificate = params.signed_by(&key, &issuer).expect("a certificate");
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("protocols")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("a configuration");
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    (root.into_bytes(), TlsAcceptor::from(Arc::new(config)))
}

/// Starts an upstream over TLS, and a gateway that trusts `roots`, by default the upstream's authority.
async fn secure(reply: Reply, protocols: &[&[u8]], roots: Option<Vec<u8>>) -> (World, Upstream) {
    let (own, acceptor) = authority(protocols);
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let upstream = Upstream::at(address, reply, Some(acceptor)).await;
    let url = format!("https://{}/v1", upstream.address);
    let world = World::with(Reply::events(), Durability::Batched, |_| {
        vec![UpstreamConfig {
            ca_certificates: Some(CaCertificates::Pem(roots.unwrap_or(own))),
            ..config("secure", url)
        }]
    })
    .await;
    (world, upstream)
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_is_negotiated_with_an_upstream_that_offers_it() {
    let (world, upstream) = secure(Reply::events(), &[b"h2", b"http/1.1"], None).await;
    let world = Arc::new(world);
    assert_eq!(
        world.chat(STREAM).await.body,
        EVENTS[..2].concat() + EVENTS[3]
    );
    let clients = (0..30).map(|_| {
        let world = Arc::clone(&world);
        tokio::spawn(async move { world.chat(STREAM).await })
    });
    for client in clients.collect::<Vec<_>>() {
        let answer = client.await.expect("an answer");
        assert_eq!(answer.status, 200);
        assert!(!answer.is_broken);
    }
    let asked = upstream.asked();
    assert!(asked.iter().all(|asked| asked.version == Version::HTTP_2));
    assert_eq!((asked.len(), upstream.connections()), (31, 1));
    for row in world.rows(31).await {
        assert_eq!(row.sums(), ("succeeded", false, Some(11), Some(7), Some(1)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn http1_is_spoken_with_an_upstream_that_offers_nothing_else() {
    for protocols in [&[b"http/1.1".as_slice()][..], &[]] {
        let (world, upstream) = secure(Reply::whole(200, COMPLETION), protocols, None).await;
        for _ in 0..3 {
            assert_eq!(world.chat(MODEL).await.body, COMPLETION);
        }
        let asked = upstream.asked();
        assert!(asked.iter().all(|asked| asked.version == Version::HTTP_11));
        assert_eq!(asked.len(), 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn upstream_without_a_trusted_certificate_gets_no_request() {
    let (stranger, _) = authority(&[]);
    let (world, upstream) = secure(Reply::events(), &[b"h2"], Some(stranger)).await;
    let answer = world.chat(MODEL).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.error()[3]),
        (502, &"upstream_error".into())
    );
    assert_eq!(upstream.asked().len(), 0);
    assert_eq!(upstream.connections(), 1);
}
