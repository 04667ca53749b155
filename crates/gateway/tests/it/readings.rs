//! The unambiguous reading of requests: any model server reads what was checked, or nothing is forwarded.

mod content_types;
mod numbers;
mod tools;

use bytes::Bytes;
use http::{HeaderValue, Method, Request};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::upstream::{COMPLETION, Reply};
use crate::world::{Answer, World, request};

async fn world() -> World {
    World::start(Reply::whole(200, COMPLETION)).await
}

/// Returns the status and the parameter.
fn refusal(answer: &Answer) -> (u16, Value) {
    (answer.status.as_u16(), answer.error()[2].clone())
}

fn typed(key: &str, path: &str, kind: &str, body: &str) -> Request<Full<Bytes>> {
    let mut request = request(Method::POST, path, key, body);
    let kind = HeaderValue::from_str(kind).expect("a value");
    request.headers_mut().insert("content-type", kind);
    request
}

/// Returns a form of these parts, each with the parameters after `form-data; ` and the content.
fn form(key: &str, path: &str, parts: &[(&str, &str)]) -> Request<Full<Bytes>> {
    let parts = parts.iter().map(|(head, content)| {
        format!("--x\r\nContent-Disposition: form-data; {head}\r\n\r\n{content}\r\n")
    });
    let body = parts.collect::<String>() + "--x--\r\n";
    typed(key, path, "multipart/form-data; boundary=x", &body)
}

#[tokio::test(flavor = "multi_thread")]
async fn s5_request_that_readers_disagree_on_is_not_forwarded() {
    let world = world().await;
    let deep = format!("{}{}", "[".repeat(130), "]".repeat(130));
    for odd in [
        r#""temperature":1e999"#,
        r#""user":"\ud800""#,
        &format!(r#""x":{deep}"#),
        r#""temperature":NaN"#,
        r#""temperature":01"#,
    ] {
        let body = format!(r#"{{{odd},"model":"real","messages":[]}}"#);
        let answer = world.chat(&body).await;
        assert_eq!(answer.status, 400, "{odd}");
        assert_eq!(answer.error()[3], "invalid_json", "{odd}");
    }
    let twice = "\u{feff}\u{feff}{\"model\":\"real\",\"messages\":[]}";
    assert_eq!(world.chat(twice).await.status, 400);
    assert!(world.upstream.asked().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn ndjson_bom_body_is_forwarded_without_its_byte_order_mark() {
    let world = world().await;
    for body in [
        r#"{"model":"real","messages":[]}"#,
        r#"{"model":"nick","messages":[], "stream":true}"#,
    ] {
        assert_eq!(world.chat(body).await.status, 200);
        assert_eq!(world.chat(&format!("\u{feff}{body}")).await.status, 200);
        let asked = world.upstream.asked();
        let [.., plain, marked] = &asked[..] else {
            panic!("two requests");
        };
        assert_eq!(plain.body, marked.body, "one reading for all");
        assert!(plain.body.starts_with(b"{"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn key_folding_servers_get_no_other_request_than_was_checked() {
    let world = world().await;
    for (member, param) in [
        (r#""Model":"secret""#, "Model"),
        (r#""MODEL":"secret""#, "MODEL"),
        (r#""\u004dodel":"secret""#, "Model"),
        (r#""Tools":[{"type":"mcp"}]"#, "Tools"),
        ("\"tool\u{17f}\":[]", "tool\u{17f}"),
        (r#""tool\u017f":[]"#, "tool\u{17f}"),
        (r#""Max_Tokens":1000000"#, "Max_Tokens"),
        ("\"max_to\u{212a}ens\":1000000", "max_to\u{212a}ens"),
        (r#""N":100"#, "N"),
        (r#""Store":true"#, "Store"),
        (r#""STREAM":true"#, "STREAM"),
        (r#""Messages":[]"#, "Messages"),
        (r#""Web_Search_Options":{}"#, "Web_Search_Options"),
        (
            r#""stream":true,"stream_options":{"Include_Usage":false}"#,
            "stream_options.include_usage",
        ),
        (r#""tools":[{"Type":"mcp"}]"#, "Type"),
        (r#""tools":[{"type":"function","TYPE":"mcp"}]"#, "TYPE"),
        (
            r#""messages":[{"content":[{"file":{"File_ID":"file-1"}}]}]"#,
            "File_ID",
        ),
        (
            r#""tools":[{"type":"file_search","vector_\u017ftore_ids":["vs_1"]}]"#,
            "vector_\u{17f}tore_ids",
        ),
        (
            r#""tools":[{"type":"code_interpreter","Container":"cntr_1"}]"#,
            "Container",
        ),
        (r#""models":["secret"]"#, "models"),
        (r#""Fallbacks":[{"model":"secret"}]"#, "Fallbacks"),
        (r#""extra_body":{"model":"secret"}"#, "extra_body"),
    ] {
        let answer = world.chat(&format!(r#"{{"model":"real",{member}}}"#)).await;
        assert_eq!(refusal(&answer), (400, json!(param)), "{member}");
    }
    for part in [
        "name=\"Model\"",
        "name=\"MODEL\"",
        "name=\"model[]\"",
        "name=\"mode\u{17f}\"; x=y",
    ] {
        let parts = [("name=\"model\"", "real"), (part, "secret")];
        let answer = world
            .send(form(world.service(), "/v1/audio/transcriptions", &parts))
            .await;
        let is_other = part.contains('\u{17f}');
        assert_eq!(answer.status == 400, !is_other, "{part}: {}", answer.body);
    }
    assert_eq!(world.upstream.asked().len(), 1, "another name passes");
}

#[tokio::test(flavor = "multi_thread")]
async fn key_folding_ignores_names_in_opaque_members() {
    let world = world().await;
    let body = json!({
        "model": "real",
        "messages": [{"role": "assistant", "tool_calls": [{"id": "1", "type": "function",
            "function": {"name": "f", "arguments": "{\"Model\":1,\"Model\":2}"}}]}],
        "metadata": {"Model": "x", "File_ID": "y", "Type": "z"},
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {
            "type": "object", "properties": {"Model": {"Type": 1}, "Tools": {}, "File_ID": {"type": "mcp"}, "N": {}}}}}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {
            "properties": {"Model": {}, "container": 7, "tools": "x"}}}},
        "logit_bias": {"ID": 1},
        "chat_template_kwargs": {"Tools": true},
    });
    let twice = r#"{"model":"real","messages":[],"metadata":{"type":1,"type":2},"Temperature":1,"x":{"y":1,"y":2}}"#;
    for body in [body.to_string(), twice.to_owned()] {
        let answer = world.chat(&body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    let asked = world.upstream.asked();
    assert_eq!(asked[0].body, body.to_string(), "it passes byte for byte");
}

#[tokio::test(flavor = "multi_thread")]
async fn s26_stored_prompts_can_be_named_without_a_shared_account() {
    let world = world().await;
    let body = r#"{"model":"real","prompt":{"id":"pmpt_1"}}"#;
    let path = "/v1/responses";
    let asked = request(Method::POST, path, world.service(), body);
    assert_eq!(world.send(asked).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn s9_conversation_is_refused_with_zero_data_retention() {
    let world = world().await;
    world.retain("zero_data_retention").await;
    for member in [
        r#""conversation":"conv_1""#,
        r#""conversation":{"id":"conv_1"}"#,
    ] {
        let body = format!(r#"{{"model":"real","store":false,{member}}}"#);
        let answer = world
            .send(request(
                Method::POST,
                "/v1/responses",
                world.service(),
                &body,
            ))
            .await;
        assert_eq!(refusal(&answer), (400, json!("conversation")), "{member}");
    }
    let none = r#"{"model":"real","conversation":null}"#;
    let answer = world
        .send(request(
            Method::POST,
            "/v1/responses",
            world.service(),
            none,
        ))
        .await;
    assert_eq!(answer.status, 200);
}
