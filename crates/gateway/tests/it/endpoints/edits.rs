//! `/v1/images/edits` in JSON, with images by URL or by id.

use base::NanoDollars;
use gateway::{Durability, UpstreamConfig};

use super::*;

const PATH: &str = "/v1/images/edits";
const IMAGE: &str = r#"{"created":1,"data":[{"b64_json":"AAAA"}],"size":"1024x1024","usage":{"input_tokens":10,"output_tokens":50}}"#;

fn edit(images: &str) -> String {
    format!(r#"{{"model":"nick","prompt":"x","n":2,"images":{images}}}"#)
}

#[tokio::test(flavor = "multi_thread")]
async fn image_edits_json_is_forwarded_and_metered_like_a_form() {
    let world = World::start(Reply::whole(200, IMAGE)).await;
    let body =
        edit(r#"[{"image_url":"https://h/a.png"},{"image_url":"data:image/png;base64,AAAA"}]"#);
    let answer = world.post(PATH, &body).await;
    assert_eq!((answer.status.as_u16(), &*answer.body), (200, IMAGE));
    let asked = world.upstream.asked().remove(0);
    assert_eq!(asked.path, PATH);
    assert_eq!(asked.body, body.replace("nick", "real"));
    assert_eq!(asked.headers["content-type"], "application/json");
    let of_json = world.consumed_once().await;
    let world = World::start(Reply::whole(200, IMAGE)).await;
    world.post(PATH, &super::body(PATH, "real")).await;
    assert_eq!(of_json, world.consumed_once().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn image_edits_json_may_name_only_files_of_its_project() {
    let world = World::with(Reply::whole(200, IMAGE), Durability::Batched, |url| {
        vec![UpstreamConfig {
            stores: true,
            ..config("keeper", url)
        }]
    })
    .await;
    for body in [
        edit(r#"[{"file_id":"file-of-another"}]"#),
        edit(r#"[{"image_url":"https://h/a.png"},{"file_id":"file-of-another"}]"#),
        r#"{"model":"real","prompt":"x","images":[],"mask":{"file_id":"file-of-another"}}"#
            .to_owned(),
    ] {
        let answer = world.post(PATH, &body).await;
        assert_eq!(answer.status, 404, "{body}: {}", answer.body);
    }
    assert!(world.upstream.asked().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn image_edits_json_reserves_as_much_as_a_form() {
    // A token costs a tenth of a cent. The input has 17 images of 6,240 tokens, and the output one or more.
    const MAX_COST: i64 = 112_320 * 1_000_000;
    for (images, limit, admitted) in [
        (
            r#"[{"image_url":"https://h/a.png"}]"#.to_owned(),
            MAX_COST + 1_000_000_000,
            true,
        ),
        (
            format!(
                r#"[{{"image_url":"data:image/png;base64,{}"}}]"#,
                "A".repeat(400_000)
            ),
            MAX_COST + 1_000_000_000,
            true,
        ),
        (
            r#"[{"image_url":"https://h/a.png"}]"#.to_owned(),
            MAX_COST - 1_000_000_000,
            false,
        ),
        (
            format!(
                "[{}]",
                vec![r#"{"image_url":"https://h/a.png"}"#; 40].join(",")
            ),
            MAX_COST + 2_000_000_000,
            false,
        ),
    ] {
        let world = World::start(Reply::whole(200, IMAGE)).await;
        let cents = NanoDollars(limit).0 / 10_000_000;
        world.limit_spend(Some(cents)).await;
        let body = format!(r#"{{"model":"real","prompt":"x","images":{images}}}"#);
        let answer = world.post(PATH, &body).await;
        let expected = if admitted { 200 } else { 429 };
        assert_eq!(answer.status, expected, "{limit}: {}", answer.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn image_edits_json_and_forms_are_distinguished_by_content_type() {
    let world = World::start(Reply::whole(200, IMAGE)).await;
    let json = edit("[]");
    let typed = |kind: &'static str, body: &str| {
        let mut request = request(Method::POST, PATH, world.service(), body);
        if !kind.is_empty() {
            request
                .headers_mut()
                .insert("content-type", HeaderValue::from_static(kind));
        }
        request
    };
    for (kind, body, status) in [
        ("application/json", &*json, 200),
        ("application/json; charset=utf-8", &json, 200),
        ("", &json, 200),
        ("multipart/form-data; boundary=x-1", &json, 400),
        ("application/json", &body(PATH, "real"), 400),
        ("text/plain", &json, 400),
    ] {
        let answer = world.send(typed(kind, body)).await;
        assert_eq!(answer.status, status, "{kind}: {}", answer.body);
    }
}
