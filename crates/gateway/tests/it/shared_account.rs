//! Projects that share an upstream's account: neither learns of the other, nor of the upstream's own site.

use std::collections::BTreeSet;

use http::HeaderValue;

use crate::upstream::{COMPLETION, Reply};
use crate::world::{World, chat};

const MODEL: &str = r#"{"model":"real"}"#;

#[tokio::test(flavor = "multi_thread")]
async fn s20_an_idempotency_key_is_one_of_its_project_alone() {
    let world = World::start(Reply::whole(200, COMPLETION)).await;
    for (key, idempotency_key) in [
        (world.service(), "same"),
        (world.owner(), "same"),
        (world.other(), "same"),
        (world.service(), "another"),
    ] {
        let mut request = chat(key, MODEL);
        let value = HeaderValue::from_static(idempotency_key);
        request.headers_mut().insert("idempotency-key", value);
        assert_eq!(world.send(request).await.status, 200);
    }
    let sent: Vec<String> = world
        .upstream
        .asked()
        .iter()
        .map(|asked| {
            let value = &asked.headers["idempotency-key"];
            value.to_str().expect("text").to_owned()
        })
        .collect();
    assert_eq!(sent[0], sent[1], "the same project, by another key");
    assert_eq!(sent.iter().collect::<BTreeSet<_>>().len(), 3, "{sent:?}");
    for sent in &sent {
        assert!(
            sent.starts_with("orgplane-") && !sent.contains("same"),
            "{sent}"
        );
    }
    assert_eq!(world.chat(MODEL).await.status, 200);
    let last = world.upstream.asked().pop().expect("it was asked");
    assert!(!last.headers.contains_key("idempotency-key"));
}

#[tokio::test(flavor = "multi_thread")]
async fn low_what_an_upstream_says_to_browsers_does_not_pass() {
    let names = [
        "location",
        "content-location",
        "refresh",
        "access-control-allow-origin",
        "access-control-allow-credentials",
        "access-control-expose-headers",
        "cross-origin-resource-policy",
        "content-security-policy",
        "clear-site-data",
        "report-to",
        "nel",
        "timing-allow-origin",
    ];
    let mut reply = Reply::whole(201, COMPLETION).with("x-other", "passes");
    for name in names {
        reply = reply.with(name, "https://upstream.example/");
    }
    let world = World::start(reply).await;
    let answer = world.chat(MODEL).await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.header("x-other"), "passes");
    for name in names {
        assert!(!answer.headers.contains_key(name), "{name}");
    }
}
