//! An upstream as it is configured, and the requests that it gets.

use super::*;
use crate::UpstreamKey;

fn upstream(base_url: &str, key: &str) -> Result<Upstream, String> {
    checked(&UpstreamConfig {
        api_key: Some(UpstreamKey::new(key.into())),
        models: vec!["m".to_owned()],
        ..UpstreamConfig::new("local", base_url)
    })
}

fn checked(config: &UpstreamConfig) -> Result<Upstream, String> {
    Upstream::new(config, &mut Trust::default()).map_err(|error| error.to_string())
}

#[test]
fn an_address_is_the_base_url_and_the_path() {
    for (base, whole) in [
        ("http://h:9000/v1", "http://h:9000/v1/chat/completions"),
        ("http://h:9000/v1/", "http://h:9000/v1/chat/completions"),
        ("https://h", "https://h/chat/completions"),
        ("https://[::1]:80/a", "https://[::1]:80/a/chat/completions"),
    ] {
        let upstream = upstream(base, "k").expect("an upstream");
        for (query, after) in [(None, ""), (Some("a=1".into()), "?a=1")] {
            let outgoing = Outgoing {
                method: Method::POST,
                path: "/chat/completions".into(),
                query,
                headers: HeaderMap::new(),
                can_ask_for_usage: false,
            };
            let ask = upstream.ask(&outgoing, Bytes::new()).expect("a path");
            let key = upstream.credentials.current();
            let request = upstream.request(&ask, &key, Form::Whole);
            assert_eq!(request.uri().to_string(), format!("{whole}{after}"));
            assert_eq!(request.headers()[AUTHORIZATION], "Bearer k");
            assert!(!request.headers().contains_key(HOST));
            let request = upstream.request(&ask, &key, Form::Path);
            let host = request.headers()[HOST].to_str().expect("a host");
            let scheme = base.split("//").next().expect("a scheme");
            let address = format!("{scheme}//{host}{}", request.uri());
            assert_eq!(address, format!("{whole}{after}"));
        }
    }
}

#[test]
fn settings_that_make_no_sense_are_named() {
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
fn settings_are_checked() {
    type Change = fn(&mut UpstreamConfig);
    let wrong: [(&str, &str, Change); 12] = [
        ("http", "timeout_seconds", |it| it.timeout_seconds = 0),
        ("http", "idle_timeout_seconds", |it| {
            it.idle_timeout_seconds = Some(0);
        }),
        ("http", "connect_timeout_seconds", |it| {
            it.connect_timeout_seconds = 0;
        }),
        ("http", "health_interval_seconds", |it| {
            it.health_interval_seconds = 0;
        }),
        ("http", "health_path", |it| it.health_path = "models".into()),
        ("http", "health_path", |it| it.health_path = "/a b".into()),
        ("http", "alias", |it| {
            it.aliases = [("*".into(), "m".into())].into();
        }),
        ("http", "ca_file", |it| {
            it.ca_certificates = Some(CaCertificates::Pem(Vec::new()));
        }),
        ("https", "ca_file", |it| {
            it.ca_certificates = Some(CaCertificates::Pem(b"x".to_vec()));
        }),
        ("https", "http2", |it| it.http2 = true),
        ("http", "http2 is not spoken through a proxy", |it| {
            it.http2 = true;
            it.proxy = egress::Proxy::parse("proxy", "http://p:3128").ok();
        }),
        ("http", "its key is empty", |it| {
            it.api_key = Some(UpstreamKey::new(" \t".to_owned()));
        }),
    ];
    for (scheme, key, change) in wrong {
        let mut config = UpstreamConfig {
            models: vec!["m".to_owned()],
            ..UpstreamConfig::new("local", format!("{scheme}://h/v1"))
        };
        change(&mut config);
        let error = checked(&config).err().expect(key);
        assert!(error.starts_with("upstream 'local': "), "{error}");
        assert!(error.contains(key), "{key}: {error}");
    }
}

#[test]
fn a_port_that_goes_without_saying_is_not_said() {
    for (base, host) in [
        ("http://h:80", "h"),
        ("https://h:443/v1", "h"),
        ("http://h:443", "h:443"),
    ] {
        assert_eq!(upstream(base, "k").expect("an upstream").host, host);
    }
}

#[test]
fn what_is_asked_to_find_out_is_below_the_base_url() {
    let upstream = upstream("http://h/v1/", "k").expect("an upstream");
    assert_eq!(upstream.health_path.expect("a path"), "/v1/models");
}
