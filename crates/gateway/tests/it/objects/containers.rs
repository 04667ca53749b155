//! Containers: they belong to the project that created them, and each is charged once.

use bytes::Bytes;
use gateway::ObjectLimits;
use http::{HeaderValue, Method, Request};
use http_body_util::Full;
use serde_json::{Value, json};
use usage::PriceBook;

use super::quota::bounded;
use super::storage_server::StorageServer;
use super::{batch_of, keeper, not_found, world};
use crate::upstream::{COMPLETION, Reply};
use crate::world::{Bounds, World, request};

/// The interval between two polls of a container, in seconds.
const POLL_SECONDS: i64 = 3_600;

/// The row of a session in the ledger.
const SESSION: &str = "code_interpreter_sessions  succeeded num_sessions=1";

impl World {
    async fn container(&self, key: &str, name: &str) -> String {
        let body = json!({"name": name});
        self.make("/v1/containers", key, &body).await.id()
    }
}

fn file_form(path: &str, key: &str, field: &str, value: &str) -> Request<Full<Bytes>> {
    let body = format!(
        "--xx\r\nContent-Disposition: form-data; name=\"{field}\"\r\n\r\n{value}\r\n--xx--\r\n"
    );
    let mut request = request(Method::POST, path, key, &body);
    let kind = HeaderValue::from_static("multipart/form-data; boundary=xx");
    request.headers_mut().insert("content-type", kind);
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_and_what_is_in_it_are_its_projects_alone() {
    let (world, shelf) = world().await;
    let (service, other) = (world.service(), world.other());
    let container = world.container(service, "mine").await;
    let path = format!("/v1/containers/{container}");
    let file = world.file(service, "user_data", "x").await;
    let files = format!("{path}/files");
    let inside = world
        .make(&files, service, &json!({"file_id": file}))
        .await
        .id();
    let one = format!("{files}/{inside}");
    shelf.asked();
    for (method, path) in [
        (Method::GET, path.clone()),
        (Method::GET, files.clone()),
        (Method::POST, files.clone()),
        (Method::GET, one.clone()),
        (Method::GET, format!("{one}/content")),
        (Method::DELETE, one.clone()),
        (Method::DELETE, path.clone()),
    ] {
        let answer = world.call(method, &path, other, "{}").await;
        assert_eq!(answer.refusal(), not_found(Value::Null), "{path}");
    }
    assert_eq!(world.page("/v1/containers", other).await, (vec![], false));
    assert!(shelf.asked().is_empty(), "the account is not even asked");
    let theirs = world.container(other, "theirs").await;
    let through = format!("/v1/containers/{theirs}/files/{inside}");
    assert_eq!(
        world.get(&through, other).await.status,
        404,
        "it is in another container"
    );
    for path in [&path, &one, &format!("{one}/content")] {
        assert_eq!(world.get(path, service).await.status, 200, "{path}");
    }
    let list = format!("{files}?limit=5&order=asc&after=x");
    assert_eq!(world.get(&list, service).await.status, 200);
    assert_eq!(
        world
            .get(&format!("{files}?before=x"), service)
            .await
            .status,
        400
    );
    assert_eq!(world.delete(&one, service).await.status, 200);
    assert_eq!(world.delete(&path, service).await.status, 200);
    assert_eq!(
        world.get(&path, service).await.refusal(),
        not_found(Value::Null)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_are_listed_by_name_and_in_order() {
    let (world, _shelf) = world().await;
    let mut made = Vec::new();
    for name in ["a", "b", "a"] {
        made.push(world.container(world.service(), name).await);
        world.clock.advance(1);
    }
    let page = async |query: &str| {
        let path = format!("/v1/containers{query}");
        world.page(&path, world.service()).await
    };
    let [first, second, third] = [&made[0], &made[1], &made[2]].map(Clone::clone);
    assert_eq!(
        page("?order=asc").await,
        (vec![first.clone(), second.clone(), third.clone()], false)
    );
    assert_eq!(page("?limit=1").await, (vec![third.clone()], true));
    let after = format!("?after={third}");
    assert_eq!(page(&after).await, (vec![second, first.clone()], false));
    assert_eq!(page("?name=a").await, (vec![third, first], false));
    assert_eq!(page("?name=c").await, (vec![], false));
}

#[expect(
    clippy::too_many_lines,
    reason = "one container, and every way into it"
)]
#[tokio::test(flavor = "multi_thread")]
async fn files_of_another_project_come_into_no_container() {
    let (world, shelf) = world().await;
    let service = world.service();
    let foreign = world.file(world.other(), "user_data", "secret").await;
    let own = world.file(service, "user_data", "mine").await;
    let container = world.container(service, "mine").await;
    let files = format!("/v1/containers/{container}/files");
    shelf.asked();
    let containers = "/v1/containers".to_owned();
    for (path, body, param) in [
        (
            &containers,
            json!({"name": "c", "file_ids": [foreign]}),
            "file_ids",
        ),
        (
            &containers,
            json!({"name": "c", "x": {"file_ids": [own, foreign]}}),
            "file_id",
        ),
        (
            &containers,
            json!({"name": "c", "x": [{"container_id": "cntr_x"}]}),
            "container",
        ),
        (&files, json!({"file_id": foreign}), "file_id"),
        (
            &files,
            json!({"x": {"y": [{"file_id": foreign}]}}),
            "file_id",
        ),
    ] {
        let answer = world.make(path, service, &body).await;
        assert_eq!(answer.refusal(), not_found(json!(param)), "{body}");
    }
    let answer = world
        .send(file_form(&files, service, "file_id", &foreign))
        .await;
    assert_eq!(answer.refusal(), not_found(json!("file_id")));
    for field in ["file_id[]", "File_Id"] {
        let answer = world
            .send(file_form(&files, service, field, &foreign))
            .await;
        assert_eq!(answer.status, 400, "{field}");
    }
    let skills =
        json!({"name": "c", "skills": [{"type": "skill_reference", "skill_id": "skill_1"}]});
    let answer = world.make(&containers, service, &skills).await;
    assert_eq!(
        answer.refusal(),
        (400, json!("skill_id"), json!("shared_account"))
    );
    let twice = format!(r#"{{"file_id":"{own}","file_id":"{foreign}"}}"#);
    assert_eq!(
        world
            .call(Method::POST, &files, service, &twice)
            .await
            .status,
        400
    );
    assert!(shelf.asked().is_empty(), "nothing is passed on");
    let answer = world
        .send(file_form(&files, service, "file_id", &own))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let body = json!({"name": "c", "file_ids": [own]});
    assert_eq!(world.make(&containers, service, &body).await.status, 200);
}

/// Returns members of a request that name a container, in every place.
fn places(container: &str) -> [String; 7] {
    [
        format!(r#""tools":[{{"type":"code_interpreter","container":{{"id":"{container}"}}}}]"#),
        format!(r#""tools":[{{"type":"code_interpreter","container":"{container}"}}]"#),
        format!(r#""tools":[{{"type":"code_interpreter","contai\u006eer":"{container}"}}]"#),
        format!(
            r#""tools":[{{"type":"shell","environment":{{"type":"container_reference","container_id":"{container}"}}}}]"#
        ),
        format!(
            r#""input":[{{"type":"code_interpreter_call","id":"ci_1","code":"","container_id":"{container}"}}]"#
        ),
        format!(
            r#""input":[{{"type":"shell_call","environment":{{"type":"container_reference","container_id":"{container}"}}}}]"#
        ),
        format!(r#""x":[{{"y":{{"container":"{container}"}}}}]"#),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_of_another_project_is_found_in_every_place() {
    let (world, shelf) = world().await;
    let foreign = world.container(world.other(), "theirs").await;
    let own = world.container(world.service(), "mine").await;
    shelf.asked();
    let ask = async |member: &str| {
        let body = format!(r#"{{"model":"real",{member}}}"#);
        world
            .call(Method::POST, "/v1/responses", world.service(), &body)
            .await
    };
    for member in places(&foreign) {
        assert_eq!(
            ask(&member).await.refusal(),
            not_found(json!("container")),
            "{member}"
        );
        let line = format!(
            r#"{{"custom_id":"a","method":"POST","url":"/v1/responses","body":{{"model":"real",{member}}}}}"#
        );
        let file = world.file(world.service(), "batch", &line).await;
        let mut batch = batch_of(&file);
        batch["endpoint"] = json!("/v1/responses");
        let answer = world.make("/v1/batches", world.service(), &batch).await;
        assert_eq!(answer.refusal(), not_found(json!("container")), "{member}");
        assert_eq!(shelf.asked(), ["POST /v1/files"], "{member}");
    }
    for odd in [
        format!(r#""tools":[{{"type":"code_interpreter","container":["{foreign}"]}}]"#),
        format!(r#""x":{{"container_id":{{"id":"{foreign}"}}}}"#),
        format!(r#""x":{{"Container_Id":"{foreign}"}}"#),
        format!(r#""x":{{"container_id":"{own}","container_id":"{foreign}"}}"#),
    ] {
        assert_eq!(ask(&odd).await.status, 400, "{odd}");
    }
    assert!(shelf.asked().is_empty(), "nothing is passed on");
    for member in places(&own) {
        ask(&member).await;
        assert_eq!(shelf.asked(), ["POST /v1/responses"], "{member}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_session_of_a_container_is_counted_once() {
    let (world, shelf) = world().await;
    let container = world.container(world.service(), "mine").await;
    assert_eq!(world.consumed_once().await, SESSION);
    let row = world.row().await;
    assert_eq!(
        (row.id, row.who[0].clone()),
        (container.clone(), world.project.clone())
    );
    // One program runs in the container, and one in a container that the answer has begun.
    let call =
        |container: &str| json!({"type": "code_interpreter_call", "container_id": container});
    shelf.state().response = Some(json!({
        "id": "resp_1", "object": "response", "status": "completed",
        "output": [call(&container), call("cntr_new"), call(&container)],
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }));
    let body = json!({
        "model": "real", "input": "x",
        "tools": [{"type": "code_interpreter", "container": container}],
    });
    let answer = world.make("/v1/responses", world.service(), &body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    world.rows(3).await;
    let sessions = world.consumed().await;
    let sessions = sessions.iter().filter(|row| *row == SESSION);
    assert_eq!(sessions.count(), 2, "the created one, and the new one");
}

/// Prices of containers by their memory.
const PRICES_BY_MEMORY: &str = "
[[price]]
model = '*'
effective = '2025-01-01'
code_interpreter = { 1g = '0.03', 4g = '0.12', 16g = '0.48' }
";

#[tokio::test(flavor = "multi_thread")]
async fn the_session_of_a_container_costs_what_its_memory_costs() {
    let shelf = StorageServer::start().await;
    let base_url = shelf.base_url();
    let bounds = Bounds {
        prices: PriceBook::parse(PRICES_BY_MEMORY).expect("prices"),
        ..Bounds::default()
    };
    let reply = Reply::whole(200, COMPLETION);
    let world = World::bounded(reply, |_| vec![keeper(base_url)], bounds).await;
    let create = async |memory: Value| {
        let body = json!({"name": "c", "memory_limit": memory});
        world.make("/v1/containers", world.service(), &body).await
    };
    let mut sessions = Vec::new();
    for (asked, answered) in [
        (json!("4g"), None),
        (json!("4g"), Some("1g")),
        (json!(null), Some("16g")),
        (json!(null), None),
    ] {
        shelf.state().container_memory = answered;
        sessions.push(create(asked).await.id());
    }
    world.rows(4).await;
    let rows = world.entries().await;
    let of_session = |id: &String| {
        let row = rows.iter().find(|row| row.event.id == *id);
        let row = row.expect("a row of the session");
        (row.event.size.clone(), row.amount.0 / 10_000_000)
    };
    // In cents. What the request names counts, and what the upstream says where it names nothing.
    let named = |memory: &str| Some(memory.to_owned());
    assert_eq!(
        sessions.iter().map(of_session).collect::<Vec<_>>(),
        [
            (named("4g"), 12),
            (named("4g"), 12),
            (named("16g"), 48),
            (None, 3)
        ]
    );
    // 75 cents are spent. A container without a memory reserves 48, as the upstream may give it any.
    world.limit_project_spend(Some(122)).await;
    assert_eq!(create(json!(null)).await.status, 429);
    assert_eq!(create(json!("16g")).await.status, 429);
    assert_eq!(create(json!("4g")).await.status, 200);
    assert_eq!(create(json!(7)).await.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_needs_the_code_interpreter_and_room_within_the_spend_limit() {
    let (world, shelf) = world().await;
    let create = async || {
        let body = json!({"name": "c"});
        world.make("/v1/containers", world.service(), &body).await
    };
    world.enable_tools(&["code_interpreter"], false).await;
    let refused = create().await;
    assert_eq!(
        (refused.status.as_u16(), &refused.refusal().2),
        (403, &json!("hosted_tool_not_enabled"))
    );
    world.enable_tools(&["code_interpreter"], true).await;
    // Three cents each.
    world.limit_project_spend(Some(7)).await;
    for expected in [200, 200, 429] {
        let answer = create().await;
        assert_eq!(answer.status, expected, "{}", answer.body);
    }
    assert_eq!(shelf.asked().len(), 2, "what is refused is not passed on");
    world.rows(2).await;
    assert_eq!(create().await.status, 429);
    world.limit_project_spend(Some(9)).await;
    assert_eq!(create().await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_that_run_count_for_the_quota() {
    let (world, shelf) = bounded(ObjectLimits {
        max_containers: 1,
        ..ObjectLimits::default()
    })
    .await;
    let create = async || {
        let body = json!({"name": "c"});
        world.make("/v1/containers", world.service(), &body).await
    };
    let first = create().await.id();
    let full = (429, Value::Null, json!("insufficient_quota"));
    assert_eq!(create().await.refusal(), full);
    world.clock.advance(POLL_SECONDS);
    world.gateway.poll_objects().await;
    assert_eq!(create().await.refusal(), full, "it still runs");
    shelf.set(&first, json!({"status": "expired"}));
    world.clock.advance(POLL_SECONDS);
    world.gateway.poll_objects().await;
    let second = create().await.id();
    let path = format!("/v1/containers/{first}");
    assert_eq!(
        world.get(&path, world.service()).await.json()["status"],
        "expired"
    );
    assert_eq!(create().await.refusal(), full);
    let path = format!("/v1/containers/{second}");
    assert_eq!(world.delete(&path, world.service()).await.status, 200);
    create().await.id();
    assert_eq!(world.rows(3).await.len(), 3, "each is a session");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_is_not_made_costs_nothing() {
    let (world, shelf) = world().await;
    let foreign = world.container(world.other(), "theirs").await;
    shelf.state().next_id = Some(foreign);
    let body = json!({"name": "c"});
    let answer = world.make("/v1/containers", world.service(), &body).await;
    assert_eq!(answer.status, 502, "another project has the id");
    let row = world.row().await;
    assert_eq!(row.who[0], world.other_project);
}
