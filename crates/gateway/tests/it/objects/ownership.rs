//! Ownership of the objects that requests name, in every place and spelling, and the policies that apply to batches.

use http::{HeaderValue, Method};
use serde_json::{Value, json};
use store::sql;

use super::{batch_of, line, upload, world};
use crate::world::{World, request};

/// Returns the line of a batch with this body.
fn response(body: &str) -> String {
    format!(r#"{{"custom_id":"a","method":"POST","url":"/v1/responses","body":{body}}}"#)
}

async fn ask(world: &World, body: &str) -> (u16, Value) {
    let answer = world
        .call(Method::POST, "/v1/responses", world.service(), body)
        .await;
    match answer.status.as_u16() {
        status @ 400..500 => (status, answer.error()[2].clone()),
        // The shelf answers no model.
        status => (status, Value::Null),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s5_what_is_odd_hides_no_file_of_another_project() {
    let (world, shelf) = world().await;
    let foreign = world.file(world.other(), "user_data", "secret").await;
    let deep = format!("{}{}", "[".repeat(130), "]".repeat(130));
    shelf.asked();
    for odd in [
        r#""temperature":1e999"#,
        r#""user":"\ud800""#,
        &format!(r#""x":{deep}"#),
        r#""x":[1,]"#,
        r#""x":"\u00zz""#,
    ] {
        let file = format!(r#""input":[{{"content":[{{"file_id":"{foreign}"}}]}}]"#);
        let store = format!(r#""tools":[{{"vector_store_ids":["{foreign}"]}}]"#);
        for body in [
            format!(r#"{{{odd},"model":"real",{file}}}"#),
            format!(r#"{{"model":"real",{store},{odd}}}"#),
            format!(r#"{{"model":"real","input":[],{odd}}}"#),
        ] {
            assert_eq!(ask(&world, &body).await.0, 400, "{body}");
            let answer = world
                .upload(world.service(), "batch", &response(&body))
                .await;
            assert_eq!(answer.status, 400, "{body}");
        }
    }
    assert!(shelf.asked().is_empty(), "nothing is passed on");
}

#[tokio::test(flavor = "multi_thread")]
async fn s5_a_file_of_another_project_is_found_in_every_place() {
    let (world, shelf) = world().await;
    let foreign = world.file(world.other(), "user_data", "secret").await;
    let own = world.file(world.service(), "user_data", "mine").await;
    shelf.asked();
    for (x, param) in [
        (
            format!(r#"{{"file_id":"{foreign}","file_id":"{own}"}}"#),
            "file_id",
        ),
        (format!(r#"{{"File_Id":"{foreign}"}}"#), "File_Id"),
        (format!(r#"{{"file_id":["{foreign}"]}}"#), "file_id"),
        (format!(r#"{{"file_ids":[["{foreign}"]]}}"#), "file_ids"),
        (
            r#"{"vector_store_ids":"vs_1"}"#.to_owned(),
            "vector_store_ids",
        ),
    ] {
        let body = format!(r#"{{"model":"real","x":{x}}}"#);
        assert_eq!(ask(&world, &body).await, (400, json!(param)), "{x}");
        let answer = world
            .upload(world.service(), "batch", &response(&body))
            .await;
        assert_eq!(answer.status, 400, "{x}");
    }
    let container = format!(r#"{{"type":"auto","file_ids":["{foreign}"]}}"#);
    for (member, param) in [
        (format!(r#""x":{{"file\u005fid":"{foreign}"}}"#), "file_id"),
        (
            format!(r#""prompt":{{"variables":{{"Type":{{"file_id":"{foreign}"}}}}}}"#),
            "file_id",
        ),
        (
            format!(r#""tools":[{{"type":"code_interpreter","container":{container}}}]"#),
            "file_id",
        ),
        (r#""x":{"file_id":"a\u0000b"}"#.to_owned(), "file_id"),
        (
            r#""x":{"vector_store_ids":["vs\u0000"]}"#.to_owned(),
            "vector_store_ids",
        ),
    ] {
        let body = format!(r#"{{"model":"real",{member}}}"#);
        assert_eq!(ask(&world, &body).await, (404, json!(param)), "{member}");
    }
    assert!(shelf.asked().is_empty(), "nothing is passed on");
    let content = format!(r#"[{{"type":"input_file","file_id":"{own}"}}]"#);
    ask(
        &world,
        &format!(r#"{{"model":"real","input":[{{"content":{content}}}]}}"#),
    )
    .await;
    assert_eq!(shelf.asked(), ["POST /v1/responses"], "its own is");
}

/// Members that name an object without a known owner, with the field that the refusal names.
const OF_NOBODY: [(&str, &str); 5] = [
    (r#""prompt":{"id":"pmpt_1","version":"1"}"#, "prompt"),
    (
        r#""tools":[{"type":"shell","environment":{"type":"container_auto","skills":[{"skill_id":"skill_1"}]}}]"#,
        "skill_id",
    ),
    (
        r#""background_options":{"continuation_id":"c_1"}"#,
        "continuation_id",
    ),
    (
        r#""messages":[{"role":"assistant","audio":{"id":"audio_1"}}]"#,
        "audio",
    ),
    (
        r#""audio":{"format":"wav","voice":{"id":"voice_1"}}"#,
        "voice",
    ),
];

/// Members that name an unknown response, conversation or item, with the field that the refusal names.
const UNKNOWN: [(&str, &str); 7] = [
    (r#""previous_response_id":"resp_1""#, "previous_response_id"),
    (r#""conversation":"conv_1""#, "conversation"),
    (r#""conversation":{"id":"conv_1"}"#, "conversation"),
    (
        r#""input":[{"type":"item_reference","id":"msg_1"}]"#,
        "input",
    ),
    (r#""input":[{"id":"msg_1"}]"#, "input"),
    (r#""input":[{"id":"msg_1","type":null}]"#, "input"),
    (
        r#""prompt_cache_options":{"comparison_response_id":"resp_1"}"#,
        "comparison_response_id",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn s26_unknown_responses_conversations_and_items_are_not_found() {
    let (world, shelf) = world().await;
    for (member, param) in UNKNOWN {
        let body = format!(r#"{{"model":"real",{member}}}"#);
        assert_eq!(ask(&world, &body).await, (404, json!(param)), "{member}");
    }
    for member in [
        r#""previous_response_id":["resp_1"]"#,
        r#""conversation":["conv_1"]"#,
        r#""conversation":{"id":["conv_1"]}"#,
        r#""input":[{"type":"item_reference","id":["msg_1"]}]"#,
        r#""prompt_cache_options":{"comparison_response_id":{}}"#,
    ] {
        let body = format!(r#"{{"model":"real",{member}}}"#);
        assert_eq!(ask(&world, &body).await.0, 400, "{member}");
    }
    assert!(shelf.asked().is_empty(), "nothing is passed on");
}

#[tokio::test(flavor = "multi_thread")]
async fn s26_what_nobody_can_tell_the_owner_of_is_not_named_at_a_shared_account() {
    let (world, shelf) = world().await;
    for (member, param) in OF_NOBODY {
        let body = format!(r#"{{"model":"real",{member}}}"#);
        assert_eq!(ask(&world, &body).await, (400, json!(param)), "{member}");
        let answer = world
            .upload(world.service(), "batch", &response(&body))
            .await;
        assert_eq!(answer.status, 400, "{member}");
        let message = answer.message();
        assert!(message.contains("line 1: "), "{member}: {message}");
    }
    assert!(shelf.asked().is_empty(), "nothing is passed on");
    for member in [
        r#""previous_response_id":null,"conversation":null,"prompt":null"#,
        r#""tools":[{"type":"code_interpreter","container":{"type":"auto"}}]"#,
        r#""input":[{"type":"message","id":"msg_1","role":"assistant","content":[]},{"id":"msg_2","role":"user"}]"#,
        r#""input":[{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"x"}]"#,
        r#""metadata":{"container_id":"x","skill_id":"y"},"audio":{"voice":"alloy","format":"wav"}"#,
    ] {
        ask(&world, &format!(r#"{{"model":"real",{member}}}"#)).await;
        assert_eq!(shelf.asked(), ["POST /v1/responses"], "{member}");
    }
}

/// Bodies of the lines of input files, with the endpoint and the first line whose answer a model server would store.
fn stored() -> Vec<(String, &'static str, Option<usize>)> {
    let (responses, chat) = ("/v1/responses", "/v1/chat/completions");
    let off = response(r#"{"model":"real","store":false}"#);
    let by_default = response(r#"{"model":"real"}"#);
    vec![
        (by_default.clone(), responses, Some(1)),
        (
            response(r#"{"model":"real","store":true}"#),
            responses,
            Some(1),
        ),
        (
            response(r#"{"model":"real","store":null}"#),
            responses,
            Some(1),
        ),
        (
            response(r#"{"model":"real","store":"false"}"#),
            responses,
            Some(1),
        ),
        (format!("{off}\n{off}\n{by_default}"), responses, Some(3)),
        (line(r#"{"store":true}"#), chat, Some(1)),
        (format!("{off}\n{off}"), responses, None),
        (line("{}"), chat, None),
        (line(r#"{"store":false}"#), chat, None),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn s9_a_batch_stores_nothing_of_a_project_with_zero_data_retention() {
    let (world, shelf) = world().await;
    let create = async |file: &str, path: &str| {
        let body = json!({"input_file_id": file, "endpoint": path, "completion_window": "24h"});
        world.make("/v1/batches", world.service(), &body).await
    };
    let mut files = Vec::new();
    for (content, path, stored) in stored() {
        let file = world.file(world.service(), "batch", &content).await;
        assert_eq!(create(&file, path).await.status, 200, "{content}");
        files.push((file, path, stored, content));
    }
    world.retain("zero_data_retention").await;
    shelf.asked();
    for (file, path, stored, content) in &files {
        let answer = create(file, path).await;
        let Some(line) = stored else {
            assert_eq!(answer.status, 200, "{content}");
            continue;
        };
        let refused = (400, json!("input_file_id"), json!("invalid_value"));
        assert_eq!(answer.refusal(), refused, "{content}");
        let message = answer.message();
        assert!(message.contains(&format!("line {line} ")), "{message}");
    }
    assert_eq!(shelf.asked().len(), 3, "what is refused is not passed on");
    // An older version has written nothing of this when a file was uploaded.
    let unknown = sql!("UPDATE stored_objects SET work = REPLACE(work, '\"facts\"', '\"before\"')");
    world.change(unknown).await;
    let (file, path, ..) = files.last().expect("files");
    let answer = create(file, path).await;
    assert_eq!(answer.status, 400);
    assert!(answer.message().contains("upload it again"));
}

#[tokio::test(flavor = "multi_thread")]
async fn s7_a_batch_of_stored_prompts_needs_every_hosted_tool() {
    let (world, _shelf) = world().await;
    let answer = world
        .upload(
            world.service(),
            "batch",
            &response(r#"{"model":"real","prompt":{"id":"pmpt_1"}}"#),
        )
        .await;
    assert_eq!(answer.status, 400, "nobody can tell whose it is");
    let tools = r#"{"model":"real","store":false,"input":[{"type":"additional_tools","role":"developer","tools":[{"type":"mcp"}]}]}"#;
    let file = world.file(world.service(), "batch", &response(tools)).await;
    world.enable_tools(&["mcp"], false).await;
    let body =
        json!({"input_file_id": file, "endpoint": "/v1/responses", "completion_window": "24h"});
    let answer = world.make("/v1/batches", world.service(), &body).await;
    assert_eq!(answer.status, 403);
    assert!(answer.message().contains("mcp"));
}

#[tokio::test(flavor = "multi_thread")]
async fn key_folding_in_the_lines_of_a_batch_is_refused() {
    let (world, shelf) = world().await;
    let good = line("{}");
    for (bad, words) in [
        (
            good.replacen("{\"", "{\"Custom_ID\":\"b\",\"", 1),
            "Custom_ID",
        ),
        (
            good.replacen("{\"", "{\"URL\":\"/v1/responses\",\"", 1),
            "URL",
        ),
        (good.replacen("{\"", "{\"Body\":{},\"", 1), "Body"),
        (
            good.replacen("{\"", "{\"body\":{},\"", 1),
            "body is given more than once",
        ),
        (line(r#"{"Model":"secret"}"#), "Model"),
        (line(r#"{"tools":[{"Type":"mcp"}]}"#), "Type"),
        (line(r#"{"max_tokens":-1}"#), "max_tokens"),
        (line(r#"{"n":1.5}"#), "n must be"),
        (good.replacen("{\"", "{\"x\":1e999,\"", 1), "too large"),
    ] {
        let answer = world
            .upload(world.service(), "batch", &format!("{good}\n{bad}"))
            .await;
        assert_eq!(
            answer.refusal(),
            (400, json!("file"), json!("invalid_value")),
            "{bad}"
        );
        let message = answer.message();
        assert!(
            message.contains("line 2: ") && message.contains(words),
            "{bad}: {message}"
        );
    }
    assert!(shelf.asked().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn s15_what_is_kept_is_asked_for_without_a_query_and_in_utf_8() {
    let (world, shelf) = world().await;
    let file = world.file(world.service(), "user_data", "x").await;
    let store = world
        .make("/v1/vector_stores", world.service(), &json!({}))
        .await
        .id();
    let input = world.file(world.service(), "batch", &line("{}")).await;
    shelf.asked();
    for (method, path) in [
        (Method::POST, "/v1/files".to_owned()),
        (Method::POST, "/v1/batches".to_owned()),
        (Method::POST, "/v1/vector_stores".to_owned()),
        (Method::GET, format!("/v1/files/{file}")),
        (Method::GET, format!("/v1/files/{file}/content")),
        (Method::DELETE, format!("/v1/files/{file}")),
        (Method::POST, format!("/v1/vector_stores/{store}/search")),
        (Method::GET, format!("/v1/vector_stores/{store}/files")),
    ] {
        let answer = world
            .call(method, &format!("{path}?model=x"), world.service(), "")
            .await;
        assert_eq!(
            answer.refusal(),
            (400, json!("model"), json!("invalid_value")),
            "{path}"
        );
    }
    let other = HeaderValue::from_static("application/json; charset=utf-16");
    for (path, body) in [
        ("/v1/batches".to_owned(), batch_of(&input)),
        ("/v1/vector_stores".to_owned(), json!({})),
        (
            format!("/v1/vector_stores/{store}/search"),
            json!({"query": "q"}),
        ),
    ] {
        let mut request = request(Method::POST, &path, world.service(), &body.to_string());
        request.headers_mut().insert("content-type", other.clone());
        assert_eq!(world.send(request).await.status, 400, "{path}");
    }
    let mut request = upload(world.service(), "user_data", "x");
    let kind = HeaderValue::from_static("multipart/form-data; boundary=xx; charset=utf-7");
    request.headers_mut().insert("content-type", kind);
    assert_eq!(world.send(request).await.status, 400);
    assert!(shelf.asked().is_empty(), "nothing is passed on");
    let list = format!("/v1/vector_stores/{store}/files?limit=2&order=asc");
    assert_eq!(world.get(&list, world.service()).await.status, 200);
}
