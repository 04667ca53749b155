//! The query and the Content-Type that a model server gets: none, and one that the gateway writes.

use http::{HeaderValue, Method};
use serde_json::json;

use super::{form, refusal, typed, world};
use crate::endpoints::PATHS;
use crate::world::{chat, request};

#[tokio::test(flavor = "multi_thread")]
async fn s15_query_of_a_client_is_not_forwarded() {
    let world = world().await;
    for path in PATHS {
        let uri = format!("{path}?model=secret&x=y");
        let request = request(Method::POST, &uri, world.service(), r#"{"model":"real"}"#);
        let answer = world.send(request).await;
        assert_eq!(refusal(&answer), (400, json!("model")), "{path}");
    }
    assert!(world.upstream.asked().is_empty());
    let answer = world
        .send(request(
            Method::POST,
            "/v1/chat/completions?",
            world.service(),
            r#"{"model":"real"}"#,
        ))
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(world.upstream.asked()[0].path, "/v1/chat/completions");
}

#[tokio::test(flavor = "multi_thread")]
async fn beta_query_of_responses_is_forwarded_and_no_other() {
    let world = world().await;
    for path in [
        "/v1/responses",
        "/v1/responses/compact",
        "/v1/responses/input_tokens",
    ] {
        let body = r#"{"model":"real","input":"x"}"#;
        let post = |query: &str| {
            let uri = format!("{path}?{query}");
            request(Method::POST, &uri, world.service(), body)
        };
        let mut with_beta = post("beta=true");
        let beta = HeaderValue::from_static("responses_multi_agent=v1");
        with_beta.headers_mut().insert("openai-beta", beta.clone());
        world.send(with_beta).await;
        let asked = world.upstream.asked();
        let asked = asked.last().expect("a request");
        assert_eq!(asked.path, format!("{path}?beta=true"));
        assert_eq!(asked.headers.get("openai-beta"), Some(&beta));
        for other in ["beta=false", "beta=true&model=secret", "Beta=true", "beta"] {
            let answer = world.send(post(other)).await;
            assert_eq!(answer.status, 400, "{path}?{other}");
        }
    }
    let chat = request(
        Method::POST,
        "/v1/chat/completions?beta=true",
        world.service(),
        r#"{"model":"real","messages":[]}"#,
    );
    assert_eq!(refusal(&world.send(chat).await), (400, json!("beta")));
    assert_eq!(world.upstream.asked().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn s15_model_server_gets_a_content_type_of_the_gateway() {
    let world = world().await;
    let body = r#"{"model":"real","messages":[]}"#;
    for kind in [
        "application/json",
        "application/json; charset=UTF-8; x=y",
        "application/x-www-form-urlencoded",
    ] {
        let answer = world
            .send(typed(world.service(), "/v1/chat/completions", kind, body))
            .await;
        assert_eq!(answer.status, 200, "{kind}: {}", answer.body);
    }
    let answer = world
        .send(request(
            Method::POST,
            "/v1/chat/completions",
            world.service(),
            body,
        ))
        .await;
    assert_eq!(answer.status, 200, "none is named");
    for asked in world.upstream.asked() {
        assert_eq!(asked.headers["content-type"], "application/json");
    }
    let before = world.upstream.asked().len();
    for kind in [
        "application/json; charset=utf-7",
        "application/json; charset=utf-8; charset=utf-16",
        "text/plain",
        "multipart/form-data; boundary=x",
    ] {
        let answer = world
            .send(typed(world.service(), "/v1/chat/completions", kind, body))
            .await;
        assert_eq!(answer.status, 400, "{kind}");
        assert_eq!(answer.error()[3], "invalid_header", "{kind}");
    }
    let mut twice = chat(world.service(), body);
    let other = HeaderValue::from_static("application/json; charset=utf-7");
    twice.headers_mut().append("content-type", other);
    assert_eq!(world.send(twice).await.status, 400);
    assert_eq!(world.upstream.asked().len(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn s15_form_is_forwarded_with_no_parameter_but_its_boundary() {
    let world = world().await;
    let path = "/v1/audio/transcriptions";
    let body = "--x y\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nreal\r\n--x y--\r\n";
    for kind in [
        "multipart/form-data; charset=utf-8; boundary=\"x y\"",
        "Multipart/Form-Data; Boundary=x y; q=1;",
    ] {
        let answer = world.send(typed(world.service(), path, kind, body)).await;
        assert_eq!(answer.status, 200, "{kind}: {}", answer.body);
    }
    for asked in world.upstream.asked() {
        let kind = &asked.headers["content-type"];
        assert_eq!(kind, "multipart/form-data; boundary=\"x y\"");
        assert_eq!(asked.body, body);
    }
    let before = world.upstream.asked().len();
    let hidden = "--x\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nreal\r\n\
                  --x\r\nContent-Disposition: form-data; name=\"+AG0AbwBkAGUAbA-\"\r\n\r\nsecret\r\n--x--\r\n";
    let answer = world
        .send(typed(
            world.service(),
            path,
            "multipart/form-data; charset=utf-7; boundary=x",
            hidden,
        ))
        .await;
    assert_eq!(answer.status, 400);
    let parts = [("name=\"model\"", "real"), ("name=\"_charset_\"", "utf-7")];
    let answer = world.send(form(world.service(), path, &parts)).await;
    assert_eq!(refusal(&answer), (400, json!("_charset_")));
    assert_eq!(world.upstream.asked().len(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn multipart_unquoted_uploads_of_net_are_forwarded() {
    let world = world().await;
    let body = "--X\r\nContent-Disposition: form-data; name=file; filename=a.mp3; filename*=utf-8''a.mp3\r\n\r\nsound\r\n\
                --X\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Disposition: form-data; name=model\r\n\r\nnick\r\n--X--\r\n";
    let kind = "multipart/form-data; boundary=\"X\"";
    for path in [
        "/v1/audio/transcriptions",
        "/v1/audio/translations",
        "/v1/images/edits",
    ] {
        let answer = world.send(typed(world.service(), path, kind, body)).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    }
    for asked in world.upstream.asked() {
        assert_eq!(
            asked.body,
            body.replace("nick", "real"),
            "the model is named as the server knows it"
        );
    }
}
