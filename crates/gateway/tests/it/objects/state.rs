//! Stored responses, conversations and chat completions of two projects that share an upstream's account.

use http::Method;
use serde_json::{Value, json};
use store::sql;

use super::{Durability, not_found, world};
use crate::upstream::{COMPLETION, Reply};
use crate::world::{Answer, World, config};

/// Returns a request for a response, with further members.
fn ask(more: &Value) -> Value {
    let mut body = json!({"model": "real", "input": "Hello"});
    let (Value::Object(body_members), Value::Object(more)) = (&mut body, more) else {
        panic!("no members")
    };
    body_members.extend(more.clone());
    body
}

impl World {
    pub(super) async fn respond(&self, key: &str, more: &Value) -> Answer {
        self.make("/v1/responses", key, &ask(more)).await
    }

    pub(super) async fn response(&self, key: &str) -> String {
        self.respond(key, &json!({})).await.id()
    }

    pub(super) async fn conversation(&self, key: &str) -> String {
        self.make("/v1/conversations", key, &json!({})).await.id()
    }

    pub(super) async fn completion(&self, key: &str, more: &Value) -> Answer {
        let mut body = json!({"model": "real", "messages": [], "store": true});
        body["metadata"] = more["metadata"].clone();
        self.make("/v1/chat/completions", key, &body).await
    }
}

/// Returns the id of the response that a stream has created.
fn streamed_id(answer: &Answer) -> String {
    assert_eq!((answer.status.as_u16(), answer.is_broken), (200, false));
    let created = answer.body.lines().next().expect("an event");
    let created = created.strip_prefix("data: ").expect("data");
    let created: Value = serde_json::from_str(created).expect("JSON");
    assert_eq!(created["type"], "response.created");
    created["response"]["id"]
        .as_str()
        .expect("an id")
        .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_response_is_its_projects_alone() {
    let (world, shelf) = world().await;
    let (service, other) = (world.service(), world.other());
    let whole = world.response(service).await;
    let streamed = streamed_id(&world.respond(service, &json!({"stream": true})).await);
    shelf.asked();
    for id in [whole, streamed] {
        let path = format!("/v1/responses/{id}");
        let asks = [
            (Method::GET, path.clone()),
            (Method::GET, format!("{path}?include[]=x&stream=false")),
            (Method::GET, format!("{path}/input_items?limit=1&order=asc")),
            (Method::POST, format!("{path}/cancel")),
            (Method::DELETE, path.clone()),
        ];
        for (method, path) in &asks {
            let answer = world.call(method.clone(), path, other, "").await;
            assert_eq!(answer.refusal(), not_found(Value::Null), "{method} {path}");
        }
        let named = json!({"previous_response_id": id});
        let refused = world.respond(other, &named).await.refusal();
        assert_eq!(refused, not_found(json!("previous_response_id")));
        assert!(shelf.asked().is_empty(), "nothing is passed on");
        assert_eq!(world.respond(service, &named).await.status, 200);
        for (method, path) in &asks {
            let answer = world.call(method.clone(), path, service, "").await;
            assert_eq!(answer.status, 200, "{method} {path}: {}", answer.body);
        }
        assert_eq!(shelf.asked().len(), 1 + asks.len());
        let gone = world.respond(service, &named).await.refusal();
        assert_eq!(gone, not_found(json!("previous_response_id")));
    }
    let rows = world.ledger().await;
    assert_eq!(
        rows.len(),
        4,
        "only what models answer is metered: {rows:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_and_its_items_are_its_projects_alone() {
    let (world, shelf) = world().await;
    let (service, other) = (world.service(), world.other());
    let id = world.conversation(service).await;
    let path = format!("/v1/conversations/{id}");
    let items = format!("{path}/items");
    let item = world.get(&items, service).await.json()["data"][0].clone();
    let item = item["id"].as_str().expect("an id").to_owned();
    let one = format!("{items}/{item}");
    let body = json!({"items": [{"role": "user", "content": "x"}]}).to_string();
    let asks = [
        (Method::GET, path.clone(), ""),
        (Method::POST, path.clone(), r#"{"metadata":{"a":"b"}}"#),
        (
            Method::GET,
            format!("{items}?limit=2&order=asc&include[]=y"),
            "",
        ),
        (Method::POST, format!("{items}?include[]=y"), &*body),
        (Method::GET, format!("{one}?include%5B%5D=y"), ""),
        (Method::DELETE, one, ""),
        (Method::DELETE, path, ""),
    ];
    shelf.asked();
    let named = [
        (json!({"conversation": id}), "conversation"),
        (json!({"conversation": {"id": id}}), "conversation"),
        (
            json!({"input": [{"type": "item_reference", "id": item}]}),
            "input",
        ),
        (json!({"input": [{"id": item}]}), "input"),
    ];
    for (more, param) in &named {
        let refused = world.respond(other, more).await.refusal();
        assert_eq!(refused, not_found(json!(param)), "{more}");
    }
    for (method, path, body) in &asks {
        let answer = world.call(method.clone(), path, other, body).await;
        assert_eq!(answer.refusal(), not_found(Value::Null), "{method} {path}");
    }
    assert!(shelf.asked().is_empty(), "nothing is passed on");
    for (more, _) in &named {
        assert_eq!(world.respond(service, more).await.status, 200, "{more}");
    }
    for (method, path, body) in &asks {
        let answer = world.call(method.clone(), path, service, body).await;
        assert_eq!(answer.status, 200, "{method} {path}: {}", answer.body);
    }
    let answer = world
        .call(Method::GET, "/v1/conversations", service, "")
        .await;
    assert_eq!(answer.status, 405, "there is no list");
}

#[tokio::test(flavor = "multi_thread")]
async fn items_of_an_answer_and_of_a_list_can_be_referenced_by_their_project() {
    let (world, _shelf) = world().await;
    let (service, other) = (world.service(), world.other());
    let answer = world.respond(service, &json!({})).await.json();
    let input = format!(
        "/v1/responses/{}/input_items",
        answer["id"].as_str().expect("an id")
    );
    let listed = world.get(&input, service).await.json()["data"][0]["id"].clone();
    for item in [answer["output"][0]["id"].clone(), listed] {
        let more = json!({"input": [{"type": "item_reference", "id": item}]});
        assert_eq!(world.respond(service, &more).await.status, 200);
        let refused = world.respond(other, &more).await.refusal();
        assert_eq!(refused, not_found(json!("input")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_chat_completions_are_their_projects_alone() {
    let (world, shelf) = world().await;
    let (service, other) = (world.service(), world.other());
    let tagged = json!({"metadata": {"team": "a b"}});
    let first = world.completion(service, &tagged).await.id();
    world.clock.advance(1);
    let second = world.completion(service, &json!({})).await.id();
    let plain = json!({"model": "real", "messages": [], "store": false});
    assert_eq!(
        world
            .make("/v1/chat/completions", service, &plain)
            .await
            .status,
        200
    );
    let list = "/v1/chat/completions";
    let both = (vec![first.clone(), second.clone()], false);
    assert_eq!(world.page(list, service).await, both);
    let last = (vec![second.clone()], false);
    let newest = format!("{list}?order=desc&limit=1");
    assert_eq!(
        world.page(&newest, service).await,
        (vec![second.clone()], true)
    );
    let after = format!("{list}?after={first}&model=real");
    assert_eq!(world.page(&after, service).await, last);
    let of_team = format!("{list}?metadata%5Bteam%5D=a%20b");
    assert_eq!(
        world.page(&of_team, service).await,
        (vec![first.clone()], false)
    );
    assert_eq!(world.page(list, other).await, (vec![], false));
    let path = format!("{list}/{first}");
    let asks = [
        (Method::GET, path.clone(), ""),
        (Method::POST, path.clone(), r#"{"metadata":{"team":"c"}}"#),
        (
            Method::GET,
            format!("{path}/messages?limit=3&order=asc"),
            "",
        ),
        (Method::DELETE, path, ""),
    ];
    shelf.asked();
    for (method, path, body) in &asks {
        let answer = world.call(method.clone(), path, other, body).await;
        assert_eq!(answer.refusal(), not_found(Value::Null), "{method} {path}");
    }
    assert!(shelf.asked().is_empty(), "nothing is passed on");
    for (method, path, body) in &asks {
        let answer = world.call(method.clone(), path, service, body).await;
        assert_eq!(answer.status, 200, "{method} {path}: {}", answer.body);
    }
    assert_eq!(world.page(list, service).await, last);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_stored_cannot_be_named() {
    let (world, _shelf) = world().await;
    let answer = world
        .respond(world.service(), &json!({"store": false}))
        .await;
    let named = json!({"previous_response_id": answer.id()});
    let refused = world.respond(world.service(), &named).await.refusal();
    assert_eq!(refused, not_found(json!("previous_response_id")));
    world.retain("zero_data_retention").await;
    let answer = world.respond(world.service(), &json!({})).await;
    let named = json!({"previous_response_id": answer.id()});
    assert_eq!(world.respond(world.service(), &named).await.status, 404);
    let count = sql!("SELECT COUNT(*) AS count FROM stored_objects");
    let mut read = world.store.read().await.expect("a read");
    let count: i64 = read
        .fetch_one(count, |row| row.get("count"))
        .await
        .expect("a count");
    assert_eq!(count, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn zero_data_retention_refuses_what_only_stores() {
    let (world, shelf) = world().await;
    let service = world.service();
    let conversation = world.conversation(service).await;
    let completion = world.completion(service, &json!({})).await.id();
    world.retain("zero_data_retention").await;
    shelf.asked();
    for (path, body) in [
        ("/v1/conversations".to_owned(), json!({})),
        (
            format!("/v1/conversations/{conversation}"),
            json!({"metadata": {}}),
        ),
        (
            format!("/v1/conversations/{conversation}/items"),
            json!({"items": []}),
        ),
        (
            format!("/v1/chat/completions/{completion}"),
            json!({"metadata": {}}),
        ),
    ] {
        let refused = world.make(&path, service, &body).await.refusal();
        assert_eq!(
            refused,
            (400, Value::Null, json!("zero_data_retention")),
            "{path}"
        );
    }
    assert!(shelf.asked().is_empty(), "nothing is passed on");
    let path = format!("/v1/conversations/{conversation}");
    assert_eq!(world.get(&path, service).await.status, 200);
    assert_eq!(world.delete(&path, service).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn items_of_a_conversation_are_checked_as_input_is() {
    let (world, shelf) = world().await;
    let foreign = world.file(world.other(), "user_data", "secret").await;
    let response = world.respond(world.other(), &json!({})).await.json();
    let id = world.conversation(world.service()).await;
    world.enable_tools(&["mcp"], false).await;
    shelf.asked();
    let content = json!([{"type": "input_file", "file_id": foreign}]);
    let tools = json!([{"type": "mcp", "server_url": "x"}]);
    for (item, status, param) in [
        (json!({"role": "user", "content": content}), 404, "file_id"),
        (json!({"id": response["output"][0]["id"]}), 404, "input"),
        (
            json!({"type": "additional_tools", "tools": tools}),
            403,
            "tools",
        ),
        (
            json!({"type": "code_interpreter_call", "container_id": "cntr_1"}),
            400,
            "container_id",
        ),
    ] {
        let body = json!({"items": [item]});
        for path in [
            "/v1/conversations".to_owned(),
            format!("/v1/conversations/{id}/items"),
        ] {
            let answer = world.make(&path, world.service(), &body).await;
            let (refused, named, _) = answer.refusal();
            if param != "container_id" {
                assert_eq!((refused, named), (status, json!(param)), "{path} {body}");
            } else {
                assert!([400, 404].contains(&refused), "{path} {body}");
            }
        }
    }
    assert!(shelf.asked().is_empty(), "nothing is passed on");
}

#[tokio::test(flavor = "multi_thread")]
async fn items_without_the_content_that_only_an_upstream_has_are_references() {
    let (world, shelf) = world().await;
    shelf.state().next_id = Some("rs_1".into());
    world.respond(world.other(), &json!({})).await;
    shelf.asked();
    for item in [
        r#"{"type":"reasoning","id":"rs_1","summary":[]}"#,
        r#"{"type":"Reasoning","id":"rs_1","content":[{"text":"x"}]}"#,
        r#"{"type":"reasoning","id":"rs_1","encrypted_content":null}"#,
        r#"{"type":"reasoning","id":"rs_1","encrypted_content":""}"#,
        r#"{"type":"reasoning","id":"rs_1","encrypted_content":"x","encrypted_content":null}"#,
        r#"{"type":"reasoning","id":"rs_1","Encrypted_Content":"x","result":"x"}"#,
        r#"{"type":"image_generation_call","id":"rs_1"}"#,
        r#"{"type":"image_generation_call","id":"rs_1","result":null,"encrypted_content":"x"}"#,
    ] {
        let body = format!(r#"{{"model":"real","input":[{item}]}}"#);
        let answer = world
            .call(Method::POST, "/v1/responses", world.service(), &body)
            .await;
        assert_eq!(answer.refusal(), not_found(json!("input")), "{item}");
    }
    assert!(shelf.asked().is_empty(), "nothing is passed on");
    for item in [
        r#"{"type":"reasoning","id":"rs_1","encrypted_content":"abc","summary":[]}"#,
        r#"{"type":"reasoning","summary":[]}"#,
        r#"{"type":"image_generation_call","id":"rs_1","result":"aaaa"}"#,
        r#"{"type":"message","id":"rs_1","role":"assistant","content":[]}"#,
    ] {
        let body = format!(r#"{{"model":"real","input":[{item}]}}"#);
        let answer = world
            .call(Method::POST, "/v1/responses", world.service(), &body)
            .await;
        assert_eq!(answer.status, 200, "{item}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn state_is_unknown_where_no_upstream_stores() {
    let reply = Reply::whole(200, COMPLETION);
    let world = World::with(reply, Durability::Batched, |url| vec![config("local", url)]).await;
    let service = world.service();
    for (more, param) in [
        (
            json!({"previous_response_id": "resp_1"}),
            "previous_response_id",
        ),
        (json!({"conversation": {"id": "conv_1"}}), "conversation"),
        (
            json!({"input": [{"type": "item_reference", "id": "msg_1"}]}),
            "input",
        ),
    ] {
        let answer = world.respond(service, &more).await;
        assert_eq!(answer.refusal(), not_found(json!(param)), "{more}");
        assert!(answer.message().contains("stores = true"));
    }
    for path in [
        "/v1/responses/resp_1",
        "/v1/conversations/conv_1",
        "/v1/chat/completions",
    ] {
        let refused = world.get(path, service).await.refusal();
        assert_eq!(refused, (404, Value::Null, json!("not_offered")), "{path}");
    }
    assert!(world.upstream.asked().is_empty(), "nothing is passed on");
    let bare = json!({"input": [{"type": "reasoning", "id": "rs_1", "content": []}]});
    assert_eq!(world.respond(service, &bare).await.status, 200);
}
