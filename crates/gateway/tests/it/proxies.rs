//! Outbound proxies: tunnels for TLS, forwarding of requests without it.

pub mod proxy;

use std::net::SocketAddr;

use egress::Proxy;
use gateway::{CaCertificates, Durability, UpstreamConfig};

use self::proxy::{Proxied, Socks};
use crate::tls::{NAME, authority};
use crate::upstream::{COMPLETION, Reply, Upstream, nobody};
use crate::world::{World, config};

const MODEL: &str = r#"{"model":"real"}"#;

/// Returns the configuration of an upstream whose host name only the proxy can resolve.
fn behind(proxy: &str, base_url: String) -> UpstreamConfig {
    UpstreamConfig {
        proxy: Some(Proxy::parse("proxy", proxy).expect("a proxy")),
        ..config("behind", base_url)
    }
}

async fn world(upstreams: Vec<UpstreamConfig>) -> World {
    World::with(Reply::events(), Durability::Batched, |_| upstreams).await
}

#[tokio::test(flavor = "multi_thread")]
async fn outbound_proxy_tunnels_tls_and_learns_only_the_host_name() {
    for protocols in [&[b"h2".as_slice(), b"http/1.1"][..], &[]] {
        let (roots, acceptor) = authority(protocols);
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let reply = Reply::whole(200, COMPLETION);
        let upstream = Upstream::at(address, reply, Some(acceptor)).await;
        let proxy = Proxied::start(upstream.address, Some("us@er:p:ss")).await;
        let url = proxy.url_of("us%40er:p%3Ass");
        let world = world(vec![UpstreamConfig {
            ca_certificates: Some(CaCertificates::Pem(roots)),
            ..behind(&url, format!("https://{NAME}/v1"))
        }])
        .await;
        for _ in 0..3 {
            assert_eq!(world.chat(MODEL).await.body, COMPLETION);
        }
        let seen = proxy.seen();
        assert_eq!(seen.len(), 1, "connections are kept: {seen:?}");
        assert_eq!(seen[0].line, format!("CONNECT {NAME}:443"));
        for asked in upstream.asked() {
            assert!(!asked.headers.contains_key("proxy-authorization"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn outbound_proxy_forwards_requests_without_tls() {
    let upstream = Upstream::start(Reply::whole(200, COMPLETION)).await;
    let proxy = Proxied::start(upstream.address, Some("me:pw")).await;
    let world = world(vec![behind(
        &proxy.url_of("me:pw"),
        format!("http://{NAME}:9000/v1"),
    )])
    .await;
    for _ in 0..3 {
        assert_eq!(world.chat(MODEL).await.body, COMPLETION);
    }
    let seen = proxy.seen();
    assert_eq!(seen.len(), 3);
    for seen in &seen {
        assert_eq!(
            seen.line,
            format!("POST http://{NAME}:9000/v1/chat/completions")
        );
        assert_eq!(seen.host, format!("{NAME}:9000"));
    }
    assert_eq!(
        proxy.connections(),
        1,
        "the connection to the proxy is kept"
    );
    assert_eq!(world.rows(3).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn outbound_proxy_that_rejects_its_credentials_is_502_without_a_leak() {
    let upstream = Upstream::start(Reply::whole(200, COMPLETION)).await;
    let proxy = Proxied::start(upstream.address, Some("me:right")).await;
    let url = proxy.url_of("me:wr0ng");
    let urls = [format!("http://{NAME}/v1"), format!("https://{NAME}/v1")];
    for base_url in urls {
        for url in [url.as_str(), nobody().trim_end_matches("/v1")] {
            let alone = world(vec![behind(url, base_url.clone())]).await;
            let answer = alone.chat(MODEL).await;
            assert_eq!(answer.status, 502, "{base_url} through {url}");
            assert_eq!(answer.error()[3], "upstream_error");
            assert!(!format!("{answer:?}").contains("wr0ng"));
            let direct = UpstreamConfig {
                weight: 0,
                ..config("direct", upstream.base_url())
            };
            let both = world(vec![behind(url, base_url.clone()), direct]).await;
            assert_eq!(both.chat(MODEL).await.status, 200, "the request fails over");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn outbound_proxy_is_used_for_health_checks() {
    let upstream = Upstream::start(Reply::whole(500, "{}")).await;
    let proxy = Proxied::start(upstream.address, None).await;
    let world = world(vec![behind(&proxy.url(), format!("http://{NAME}/v1"))]).await;
    for _ in 0..5 {
        world.chat(MODEL).await;
    }
    let probe = format!("GET http://{NAME}/v1/models");
    let is_seen = async || proxy.seen().iter().any(|seen| seen.line == probe);
    poll::until("a health check through the proxy", is_seen).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn outbound_proxy_can_be_a_socks_proxy() {
    let upstream = Upstream::start(Reply::whole(200, COMPLETION)).await;
    let socks = Socks::start(upstream.address).await;
    let world = world(vec![behind(
        &format!("socks5h://{}", socks.address),
        format!("http://{NAME}/v1"),
    )])
    .await;
    for _ in 0..2 {
        assert_eq!(world.chat(MODEL).await.body, COMPLETION);
    }
    assert_eq!(socks.asked(), [format!("{NAME}:80")]);
    assert_eq!(upstream.asked()[0].path, "/v1/chat/completions");
}
