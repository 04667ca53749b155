//! Containers that a model server makes for responses: they belong to the project of the response, and each is charged once.

use serde_json::{Value, json};
use store::sql;

use super::storage_server::StorageServer;
use super::{not_found, world};
use crate::world::World;

const DAY_SECONDS: i64 = 86_400;
/// The row of a session in the ledger.
const SESSION: &str = "code_interpreter_sessions  succeeded num_sessions=1";

/// Makes the upstream answer each request for a response by a program that ran in this container, whose file is cited.
fn runs_program(shelf: &StorageServer, container: &str) {
    let mut state = shelf.state();
    if !state.objects.contains_key(container) {
        state.next_id = Some(container.to_owned());
        state.keep("container", json!({"status": "running"}));
        state.next_id = Some(format!("file_of_{container}"));
        state.keep("container.file", json!({"container_id": container}));
    }
    let citation = json!({"type": "container_file_citation", "container_id": container,
                          "file_id": format!("file_of_{container}")});
    state.response = Some(json!({
        "id": "resp_1", "object": "response", "status": "completed",
        "output": [
            {"id": "ci_1", "type": "code_interpreter_call", "container_id": container},
            {"id": "msg_1", "type": "message", "content": [{"text": "x", "annotations": [citation]}]},
        ],
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }));
}

/// Asks for a response whose programs run in a container that the model server chooses.
async fn ask(world: &World, more: &Value) {
    let mut body = json!({"model": "real", "input": "x",
                          "tools": [{"type": "code_interpreter", "container": {"type": "auto"}}]});
    let more = more.as_object().expect("an object").clone();
    body.as_object_mut().expect("an object").extend(more);
    let answer = world.make("/v1/responses", world.service(), &body).await;
    assert_eq!((answer.status.as_u16(), answer.is_broken), (200, false));
}

impl World {
    /// Waits for so many rows, of which so many are sessions, and makes sure that no poll adds one.
    async fn has_sessions(&self, rows: usize, sessions: usize) {
        self.rows(rows).await;
        self.gateway.poll_objects().await;
        self.rows(rows).await;
        let consumed = self.consumed().await;
        let counted = consumed.iter().filter(|row| *row == SESSION).count();
        assert_eq!(counted, sessions, "{consumed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_of_a_response_is_its_projects_alone() {
    for store in [true, false] {
        let (world, shelf) = world().await;
        runs_program(&shelf, "cntr_1");
        ask(&world, &json!({"store": store})).await;
        let file = "/v1/containers/cntr_1/files/file_of_cntr_1";
        for path in ["/v1/containers/cntr_1", file, &format!("{file}/content")] {
            assert_eq!(world.get(path, world.service()).await.status, 200, "{path}");
            let refused = world.get(path, world.other()).await.refusal();
            assert_eq!(refused, not_found(Value::Null), "{path}");
        }
        let (listed, _) = world.page("/v1/containers", world.service()).await;
        assert_eq!(listed, ["cntr_1"]);
        let tool = json!([{"type": "code_interpreter", "container": "cntr_1"}]);
        let named = json!({"model": "real", "input": "x", "tools": tool});
        for (key, status) in [(world.service(), 200), (world.other(), 404)] {
            let answer = world.make("/v1/responses", key, &named).await;
            assert_eq!(answer.status, status, "{}", answer.body);
        }
        world.has_sessions(3, 1).await;
        assert_eq!(
            world
                .delete("/v1/containers/cntr_1", world.service())
                .await
                .status,
            200
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_later_responses_use_again_is_one_session() {
    let (world, shelf) = world().await;
    runs_program(&shelf, "cntr_1");
    ask(&world, &json!({})).await;
    world.has_sessions(2, 1).await;
    let sessions = world.ledger().await;
    let session = sessions.iter().find(|row| row.id == "cntr_1");
    assert_eq!(session.expect("a session").who[0], world.project);
    ask(&world, &json!({"previous_response_id": "resp_1"})).await;
    world.has_sessions(3, 1).await;
    world.clock.advance(DAY_SECONDS);
    ask(&world, &json!({"previous_response_id": "resp_1"})).await;
    world.has_sessions(4, 1).await;
    runs_program(&shelf, "cntr_2");
    ask(
        &world,
        &json!({"previous_response_id": "resp_1", "store": false}),
    )
    .await;
    world.has_sessions(6, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_created_container_is_no_further_session_of_a_response_that_does_not_name_it() {
    let (world, shelf) = world().await;
    let body = json!({"name": "mine"});
    let created = world.make("/v1/containers", world.service(), &body).await;
    runs_program(&shelf, &created.id());
    ask(&world, &json!({})).await;
    world.has_sessions(2, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_was_not_marked_as_charged_is_charged_once() {
    let (world, shelf) = world().await;
    runs_program(&shelf, "cntr_1");
    ask(&world, &json!({})).await;
    world.has_sessions(2, 1).await;
    // As if the node had ended between the two.
    let again = "UPDATE stored_objects SET work = 'session', due_at = 1 WHERE kind = 'container'";
    world.change(sql!(again)).await;
    world.clock.advance(DAY_SECONDS);
    world.has_sessions(2, 1).await;
    let left = sql!("SELECT COUNT(*) AS count FROM stored_objects WHERE due_at IS NOT NULL");
    let mut read = world.store.read().await.expect("a read");
    let left: i64 = read
        .fetch_one(left, |row| row.get("count"))
        .await
        .expect("a count");
    assert_eq!(left, 0);
}
