//! WebSocket over TLS, through outbound proxies, and with certificates of clients.

use gateway::{CaCertificates, UpstreamConfig};
use serde_json::json;

use super::harness::{Client, Listener, SocketUpstream, SocketWorld, response, socket_config};
use crate::certificates::{authority as issuer, client_of};
use crate::proxies::proxy::{Proxied, Socks};
use crate::tls::{NAME, authority};
use crate::upstream::{COMPLETION, Reply};
use crate::world::{Bounds, World};

/// Starts a world whose only upstream has this configuration.
async fn world(upstream: SocketUpstream, config: UpstreamConfig) -> SocketWorld {
    let reply = Reply::whole(200, COMPLETION);
    let world = World::bounded(reply, |_| vec![config], Bounds::default()).await;
    SocketWorld::around(world, upstream).await
}

/// Sends two requests on one connection, each of which is answered and a row.
async fn two_responses(sockets: &SocketWorld) {
    let mut client = sockets.connect().await;
    for _ in 0..2 {
        client.ask().await;
        assert_eq!(client.response().await.len(), 3);
    }
    for row in sockets.world.rows(2).await {
        assert_eq!(row.sums(), ("succeeded", false, Some(11), Some(7), Some(1)));
    }
    assert_eq!(sockets.upstream.handshakes().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn upstreams_over_tls_are_spoken_to_in_http1_whatever_they_offer() {
    for protocols in [&[][..], &[b"http/1.1".as_slice()], &[b"h2", b"http/1.1"]] {
        let (roots, acceptor) = authority(protocols);
        let upstream = SocketUpstream::secure(response(), acceptor).await;
        let config = UpstreamConfig {
            ca_certificates: Some(CaCertificates::Pem(roots)),
            ..socket_config("secure", format!("https://{}/v1", upstream.address))
        };
        two_responses(&world(upstream, config).await).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_without_a_trusted_certificate_gets_no_message() {
    let (_, acceptor) = authority(&[]);
    let (untrusted, _) = authority(&[]);
    let upstream = SocketUpstream::secure(response(), acceptor).await;
    let config = UpstreamConfig {
        ca_certificates: Some(CaCertificates::Pem(untrusted)),
        ..socket_config("secure", format!("https://{}/v1", upstream.address))
    };
    let sockets = world(upstream, config).await;
    let mut client = sockets.connect().await;
    client.ask().await;
    let (status, code, _) = client.error().await;
    assert_eq!((status, code), (502, json!("upstream_error")));
    assert!(sockets.upstream.handshakes().is_empty());
    let row = sockets.world.rows(1).await.remove(0);
    assert_eq!(row.sums(), ("upstream_failed", false, None, None, Some(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_over_tls_is_tunnelled_through_an_http_proxy() {
    let (roots, acceptor) = authority(&[b"h2", b"http/1.1"]);
    let upstream = SocketUpstream::secure(response(), acceptor).await;
    let proxy = Proxied::start(upstream.address, Some("me:pw")).await;
    let proxied = |credentials: &str| UpstreamConfig {
        ca_certificates: Some(CaCertificates::Pem(roots.clone())),
        proxy: egress::Proxy::parse("proxy", &proxy.url_of(credentials)).ok(),
        ..socket_config("behind", format!("https://{NAME}/v1"))
    };
    let sockets = world(upstream.clone(), proxied("me:pw")).await;
    two_responses(&sockets).await;
    let seen = proxy.seen();
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(seen[0].line, format!("CONNECT {NAME}:443"));
    let [handshake] = &upstream.handshakes()[..] else {
        panic!("one handshake");
    };
    assert!(!handshake.contains_key("proxy-authorization"));
    let refused = world(upstream.clone(), proxied("me:wr0ng")).await;
    let mut client = refused.connect().await;
    client.ask().await;
    let event = client.event().await;
    assert_eq!(event["status"], 502, "{event}");
    assert!(!event.to_string().contains("wr0ng"), "{event}");
    assert_eq!(upstream.handshakes().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_tls_goes_through_a_socks_proxy() {
    let upstream = SocketUpstream::start(response()).await;
    let socks = Socks::start(upstream.address).await;
    let url = format!("socks5h://{}", socks.address);
    let config = UpstreamConfig {
        proxy: egress::Proxy::parse("proxy", &url).ok(),
        ..socket_config("behind", format!("http://{NAME}/v1"))
    };
    two_responses(&world(upstream, config).await).await;
    assert_eq!(socks.asked(), [format!("{NAME}:80")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_is_required_of_connections_and_of_each_message() {
    let sockets = SocketWorld::start(response()).await;
    let world = &sockets.world;
    let (trusted, stranger) = (issuer(), issuer());
    let id = world.upload_authority(&trusted).await;
    let mut early = sockets.connect().await;
    early.ask().await;
    early.response().await;
    world.activate(&id).await;
    early.ask().await;
    let (status, code, _) = early.error().await;
    assert_eq!((status, code), (401, json!("client_certificate_required")));
    assert_eq!(early.closed().await, Some(1008));
    for peer in [None, Some(client_of(&stranger))] {
        let listener = Listener::start_for(&world.gateway, peer).await;
        let refused = Client::connect(listener.address, world.service(), "").await;
        let refused = refused.err().expect("a refusal");
        assert!(refused.starts_with("HTTP/1.1 401 "), "{refused}");
    }
    let peer = Some(client_of(&trusted));
    let listener = Listener::start_for(&world.gateway, peer).await;
    let client = Client::connect(listener.address, world.service(), "").await;
    let mut client = client.expect("a connection");
    client.ask().await;
    assert_eq!(client.response().await.len(), 3);
    assert_eq!(world.rows(2).await.len(), 2);
}
