//! Property: every request gets a response, and none has a status of 5xx.

use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request};
use http_body_util::Full;
use proptest::prelude::*;
use tokio::runtime::Runtime;

use crate::upstream::{COMPLETION, Reply};
use crate::world::{World, read};

static WORLD: LazyLock<(Runtime, World)> = LazyLock::new(|| {
    let runtime = Runtime::new().expect("a runtime");
    let world = runtime.block_on(World::start(Reply::whole(200, COMPLETION)));
    (runtime, world)
});

fn shared_world() -> &'static World {
    &WORLD.1
}

fn methods() -> impl Strategy<Value = Method> {
    prop_oneof![
        4 => Just(Method::POST),
        2 => Just(Method::GET),
        1 => prop_oneof![Just(Method::PUT), Just(Method::DELETE), Just(Method::OPTIONS), Just(Method::HEAD)],
    ]
}

fn paths() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => Just("/v1/chat/completions".to_owned()),
        4 => proptest::sample::select(crate::endpoints::PATHS).prop_map(str::to_owned),
        1 => "/v1/responses/[a-z_/]{0,16}",
        1 => Just("/v1/models".to_owned()),
        1 => "/v1/models/[a-z%0-9/.-]{0,12}",
        1 => "/[a-z0-9/%?&=.-]{0,20}",
        1 => "/v1/chat/completions\\?[a-z0-9%&=]{0,12}",
    ]
}

fn headers() -> impl Strategy<Value = Vec<(HeaderName, HeaderValue)>> {
    let names = prop_oneof![
        Just("content-length"),
        Just("content-type"),
        Just("content-encoding"),
        Just("authorization"),
        Just("openai-organization"),
        Just("openai-project"),
        Just("connection"),
        Just("transfer-encoding"),
        Just("accept"),
        Just("user-agent"),
        Just("idempotency-key"),
        Just("expect"),
        Just("host"),
    ];
    let world = shared_world();
    let values = prop_oneof![
        proptest::collection::vec(prop_oneof![32u8..=126, 128u8..=255, Just(9)], 0..40),
        Just(world.organization_id().as_bytes().to_vec()),
        Just(b"multipart/form-data; boundary=x".to_vec()),
        Just(world.project.as_bytes().to_vec()),
        Just(b"9999999999999999999999".to_vec()),
    ];
    let header = (names, values).prop_filter_map("a header", |(name, value)| {
        Some((
            HeaderName::from_static(name),
            HeaderValue::from_bytes(&value).ok()?,
        ))
    });
    proptest::collection::vec(header, 0..4)
}

fn keys() -> impl Strategy<Value = String> {
    let world = shared_world();
    prop_oneof![
        6 => Just(world.service().to_owned()),
        1 => Just(world.owner().to_owned()),
        1 => Just(world.admin().to_owned()),
        1 => "[ -~]{0,300}",
    ]
}

fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let value = prop_oneof![
        Just("\"real\""),
        Just("\"nick\""),
        Just("true"),
        Just("false"),
        Just("null"),
        Just("{}"),
        Just("[]"),
        Just("{\"include_usage\":true}"),
        Just("{\"include_usage\":false,\"x\":1}"),
        Just("1e999"),
        Just("\"\\ud800\""),
    ];
    let name = prop_oneof![
        Just("model"),
        Just("model"),
        Just("stream"),
        Just("stream_options"),
        Just("messages"),
        Just("input"),
        Just("size"),
        Just("n"),
        Just("x"),
    ];
    let members = proptest::collection::vec((name, value), 0..6).prop_map(|members| {
        let members: Vec<String> = members
            .iter()
            .map(|(name, value)| format!("\"{name}\": {value}"))
            .collect();
        format!("{{{}}}", members.join(" , ")).into_bytes()
    });
    let piece = prop_oneof![
        Just("--x"),
        Just("--x--"),
        Just("\r\n"),
        Just("\r\n"),
        Just("\r\n\r\n"),
        Just("Content-Disposition: form-data; name=\"model\""),
        Just("Content-Disposition: form-data; name=\"file\"; filename=\""),
        Just("real"),
    ];
    let parts =
        proptest::collection::vec(piece, 0..12).prop_map(|parts| parts.concat().into_bytes());
    prop_oneof![4 => members, 2 => parts, 1 => proptest::collection::vec(any::<u8>(), 0..200)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_input_is_a_server_error_or_hangs(
        method in methods(), path in paths(), key in keys(), headers in headers(), body in bodies(),
    ) {
        let (runtime, world) = &*WORLD;
        let request = Request::builder().method(method).uri(path);
        let request = request.header("authorization", format!("Bearer {key}"));
        let request = request.body(Full::new(Bytes::from(body)));
        prop_assume!(request.is_ok());
        let mut request = request.expect("assumed");
        for (name, value) in headers {
            request.headers_mut().insert(name, value);
        }
        let answer = runtime.block_on(async {
            let answer = async { read(world.gateway.handle(request).await).await };
            tokio::time::timeout(Duration::from_secs(10), answer).await
        });
        let answer = answer.expect("an answer in time");
        prop_assert!(answer.status.as_u16() < 500, "{answer:?}");
        prop_assert!(!answer.is_broken);
        if !answer.status.is_success() {
            answer.error();
        }
    }
}
