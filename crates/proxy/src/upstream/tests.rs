//! Tests of configuration checks, and of the requests that an upstream gets.

use http::header::AUTHORIZATION;

use super::*;
use crate::api_key::UpstreamKey;

const ENDPOINTS: [&str; 1] = ["/chat/completions"];

fn upstream(base_url: &str, key: &str) -> Result<Upstream, String> {
    build(&UpstreamConfig {
        api_key: Some(UpstreamKey::new(key.into())),
        models: vec!["m".to_owned()],
        ..UpstreamConfig::new("local", base_url)
    })
}

fn build(config: &UpstreamConfig) -> Result<Upstream, String> {
    let upstream = Upstream::new(config, &ENDPOINTS, &mut SystemRoots::default());
    upstream.map_err(|error| error.to_string())
}

#[test]
fn url_of_a_request_is_the_base_url_followed_by_its_path_and_query() {
    for (base, whole) in [
        ("http://h:9000/v1", "http://h:9000/v1/chat/completions"),
        ("http://h:9000/v1/", "http://h:9000/v1/chat/completions"),
        ("https://h", "https://h/chat/completions"),
        ("https://[::1]:80/a", "https://[::1]:80/a/chat/completions"),
    ] {
        let upstream = upstream(base, "k").expect("an upstream");
        for (query, after) in [(None, ""), (Some("a=1".into()), "?a=1")] {
            let request = ForwardRequest {
                method: Method::POST,
                path: "/chat/completions".into(),
                query,
                headers: HeaderMap::new(),
                can_ask_for_usage: false,
            };
            let attempt = upstream.attempt_request(&request, Bytes::new().into());
            let attempt = attempt.expect("a path");
            let key = upstream.credentials.current();
            let request = upstream.http_request(&attempt, &key, RequestTarget::Http2);
            assert_eq!(request.uri().to_string(), format!("{whole}{after}"));
            assert_eq!(request.headers()[AUTHORIZATION], "Bearer k");
            assert!(!request.headers().contains_key(HOST));
            let request = upstream.http_request(&attempt, &key, RequestTarget::Origin);
            let host = request.headers()[HOST].to_str().expect("a host");
            let scheme = base.split("//").next().expect("a scheme");
            let address = format!("{scheme}//{host}{}", request.uri());
            assert_eq!(address, format!("{whole}{after}"));
        }
    }
}

#[test]
fn invalid_base_urls_and_keys_are_refused_with_a_reason() {
    for (base, key, reason) in [
        ("h:9000", "k", "must begin with http"),
        ("/v1", "k", "must begin with http"),
        ("ftp://h/v1", "k", "must begin with http"),
        ("http://me:pw@h/v1", "k", "neither a user nor a query"),
        ("http://h/v1?key=1", "k", "neither a user nor a query"),
        ("http://h h/", "k", "is not a URL"),
        ("http://h/v1", "a\nb", "no header can carry"),
    ] {
        let error = upstream(base, key).err().expect("an error");
        assert!(error.contains(reason), "{base}: {error}");
        assert!(!error.contains("a\nb"));
    }
}

#[test]
fn invalid_settings_are_refused_by_their_name() {
    type Change = fn(&mut UpstreamConfig);
    let wrong: [(&str, &str, Change); 12] = [
        ("http", "timeout_seconds", |config| {
            config.timeout_seconds = 0;
        }),
        ("http", "idle_timeout_seconds", |config| {
            config.idle_timeout_seconds = Some(0);
        }),
        ("http", "connect_timeout_seconds", |config| {
            config.connect_timeout_seconds = 0;
        }),
        ("http", "health_interval_seconds", |config| {
            config.health_interval_seconds = 0;
        }),
        ("http", "health_path", |config| {
            config.health_path = "models".into();
        }),
        ("http", "health_path", |config| {
            config.health_path = "/a b".into();
        }),
        ("http", "alias", |config| {
            config.aliases = [("*".into(), "m".into())].into();
        }),
        ("http", "ca_file", |config| {
            config.ca_certificates = Some(CaCertificates::Pem(Vec::new()));
        }),
        ("https", "ca_file", |config| {
            config.ca_certificates = Some(CaCertificates::Pem(b"x".to_vec()));
        }),
        ("https", "http2", |config| config.http2 = true),
        ("http", "http2 is not spoken through a proxy", |config| {
            config.http2 = true;
            config.proxy = egress::Proxy::parse("proxy", "http://p:3128").ok();
        }),
        ("http", "its key is empty", |config| {
            config.api_key = Some(UpstreamKey::new(" \t".to_owned()));
        }),
    ];
    for (scheme, key, change) in wrong {
        let mut config = UpstreamConfig {
            models: vec!["m".to_owned()],
            ..UpstreamConfig::new("local", format!("{scheme}://h/v1"))
        };
        change(&mut config);
        let error = build(&config).err().expect(key);
        assert!(error.starts_with("upstream 'local': "), "{error}");
        assert!(error.contains(key), "{key}: {error}");
    }
}

#[test]
fn default_port_is_left_out_of_the_host_header() {
    for (base, host) in [
        ("http://h:80", "h"),
        ("https://h:443/v1", "h"),
        ("http://h:443", "h:443"),
    ] {
        assert_eq!(upstream(base, "k").expect("an upstream").address.host, host);
    }
}

#[test]
fn health_checks_are_sent_below_the_base_url() {
    let upstream = upstream("http://h/v1/", "k").expect("an upstream");
    assert_eq!(upstream.health_path.expect("a path"), "/v1/models");
}
