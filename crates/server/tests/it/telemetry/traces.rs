//! Traces, as a collector receives them.

use std::collections::BTreeMap;

use http::StatusCode;
use reqwest::Method;
use serde_json::json;

use super::collector::{Collector, Span};
use super::upstream::Upstream;
use crate::api::{Api, http};
use crate::installation::{Installation, Server};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// Makes the tests' own requests those of a proxy whose traces are believed.
const BEHIND_PROXY: &str = "trusted_proxies = [\"127.0.0.1\"]\n";

/// Asks for a completion; `flags` are those of the trace that the request is a part of, if it is.
async fn ask(api: &Api, model: &str, flags: Option<&str>) -> reqwest::Response {
    let body = json!({"model": model, "messages": [{"role": "user", "content": "Hello"}]});
    let mut request = api.request(Method::POST, "/chat/completions").json(&body);
    if let Some(flags) = flags {
        request = request.header("traceparent", format!("00-{TRACE}-{PARENT}-{flags}"));
    }
    request.send().await.expect("an answer")
}

fn named<'span>(spans: &'span [Span], name: &str) -> &'span Span {
    let mut found = spans.iter().filter(|span| span.name == name);
    let span = found
        .next()
        .unwrap_or_else(|| panic!("no {name}: {spans:#?}"));
    assert!(found.next().is_none(), "two of {name}: {spans:#?}");
    span
}

/// A server with an application in it.
async fn start(installation: &Installation) -> (Server, Api) {
    let (server, admin) = installation.first_serve();
    let (_, key) = admin.application("Application").await;
    let application = server.api(&key);
    (server, application)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_is_a_span_between_its_clients_and_its_upstreams() {
    let (upstream, collector) = (
        Upstream::start().await,
        Collector::start(StatusCode::OK).await,
    );
    let settings = BEHIND_PROXY.to_owned() + &collector.setting() + &upstream.setting();
    let installation = Installation::new(&settings);
    let (server, application) = start(&installation).await;
    let answer = ask(&application, "nick", Some("01")).await;
    assert_eq!(answer.status(), 200);
    let id = answer.headers()["x-request-id"]
        .to_str()
        .expect("text")
        .to_owned();
    answer.bytes().await.expect("to its end");
    assert_eq!(ask(&application, "unheard-of", None).await.status(), 404);
    server.stop();

    let spans = collector.spans();
    let span = named(&spans, "chat real");
    assert_eq!(
        (span.trace_id.as_str(), span.parent_span_id.as_str()),
        (TRACE, PARENT)
    );
    assert_eq!((span.kind, span.status), (2, 0));
    assert!(span.nanoseconds > 0);
    let forwarded = upstream.asked()[0]["traceparent"].clone();
    assert_eq!(
        forwarded,
        format!("00-{TRACE}-{}-01", span.span_id).as_str()
    );
    let port = upstream.address.port().to_string();
    let mut attributes = span.attributes.clone();
    for (key, prefix) in [
        ("orgplane.organization.id", "org-"),
        ("orgplane.project.id", "proj_"),
        ("orgplane.api_key.id", "key_"),
    ] {
        let id = attributes.remove(key).unwrap_or_default();
        assert!(id.starts_with(prefix), "{key}: {id}");
    }
    let expected = [
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", "local"),
        ("gen_ai.request.model", "nick"),
        ("gen_ai.response.model", "real"),
        ("gen_ai.usage.input_tokens", "11"),
        ("gen_ai.usage.output_tokens", "7"),
        ("http.request.method", "POST"),
        ("http.response.status_code", "200"),
        ("http.route", "/v1/chat/completions"),
        ("orgplane.request.id", &id),
        ("server.address", "127.0.0.1"),
        ("server.port", &port),
    ];
    let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(attributes, BTreeMap::from(expected));
    assert_eq!(span.resource["service.name"], "orgplane");

    assert_others(&spans);
}

/// The spans of a request that was refused, and of one to the Administration API.
fn assert_others(spans: &[Span]) {
    let refused = named(spans, "chat");
    assert_eq!(refused.status, 2);
    assert_eq!(refused.attributes["error.type"], "model_not_found");
    assert_eq!(refused.attributes["http.response.status_code"], "404");
    assert_eq!(refused.parent_span_id, "");
    let made = named(spans, "POST /v1/organization/projects");
    assert_eq!(made.attributes["http.response.status_code"], "200");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_sampled_is_passed_on_and_not_exported() {
    let (upstream, collector) = (
        Upstream::start().await,
        Collector::start(StatusCode::OK).await,
    );
    let settings =
        BEHIND_PROXY.to_owned() + &collector.setting() + "sample = 0\n" + &upstream.setting();
    let installation = Installation::new(&settings);
    let (server, application) = start(&installation).await;
    for flags in [None, Some("00"), Some("01")] {
        ask(&application, "real", flags).await;
    }
    server.stop();
    let spans = collector.spans();
    assert_eq!(spans.len(), 1, "only what a client has sampled: {spans:#?}");
    assert_eq!(spans[0].trace_id, TRACE);
    let asked = upstream.asked();
    let parents = asked
        .iter()
        .map(|headers| headers["traceparent"].to_str().expect("text"));
    let ends: Vec<&str> = parents.map(|parent| &parent[parent.len() - 3..]).collect();
    assert_eq!(ends, ["-00", "-00", "-01"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_collector_a_clients_trace_passes_through() {
    let upstream = Upstream::start().await;
    let installation = Installation::new(&(BEHIND_PROXY.to_owned() + &upstream.setting()));
    let (server, application) = start(&installation).await;
    ask(&application, "real", Some("01")).await;
    let asked = upstream.asked();
    assert_eq!(
        asked[0]["traceparent"],
        format!("00-{TRACE}-{PARENT}-01").as_str()
    );
    server.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn low_traceparent_of_a_client_that_is_no_trusted_proxy_decides_nothing() {
    let (upstream, collector) = (
        Upstream::start().await,
        Collector::start(StatusCode::OK).await,
    );
    for (sample, spans) in [("sample = 0\n", 0), ("sample = 1\n", 1)] {
        let settings = collector.setting() + sample + &upstream.setting();
        let installation = Installation::new(&settings);
        let (server, application) = start(&installation).await;
        ask(&application, "real", Some("01")).await;
        server.stop();
        let found = collector.spans();
        let chats = found.iter().filter(|span| span.name == "chat real");
        assert_eq!(chats.count(), spans, "{found:#?}");
        assert!(
            found.iter().all(|span| span.trace_id != TRACE),
            "{found:#?}"
        );
    }
    // Without a collector nothing of it reaches the upstream.
    let installation = Installation::new(&upstream.setting());
    let (server, application) = start(&installation).await;
    ask(&application, "real", Some("01")).await;
    server.stop();
    let asked = upstream.asked();
    assert_eq!(asked.len(), 3);
    for headers in &asked[..2] {
        let parent = headers["traceparent"].to_str().expect("text");
        assert!(!parent.contains(TRACE), "{parent}");
    }
    assert!(!asked[2].contains_key("traceparent"), "{:?}", asked[2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_down_costs_spans_and_nothing_else() {
    let upstream = Upstream::start().await;
    let broken = Collector::start(StatusCode::BAD_REQUEST).await;
    let installation = Installation::new(&(broken.setting() + &upstream.setting()));
    let (server, application) = start(&installation).await;
    for _ in 0..20 {
        assert_eq!(ask(&application, "real", None).await.status(), 200);
    }
    let url = format!("{}/metrics", server.address);
    poll::until("all spans are dropped", async || {
        let text = http().get(&url).send().await.expect("an answer");
        let text = text.text().await.expect("text");
        let line = |name: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name));
            value.expect(name).trim().parse::<u64>().expect("a number")
        };
        assert_eq!(line("orgplane_spans_exported_total "), 0);
        line("orgplane_spans_dropped_total ") >= 20
    })
    .await;
    let ended = server.stop();
    let complaints = ended.stderr.matches("refuses spans").count();
    assert_eq!(complaints, 1, "{}", ended.stderr);
}
