//! Changes that one node makes, and the time until another node acts on them.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio::time::Instant;

use super::World;
use crate::api::Api;
use crate::installation::Server;
use crate::model_stub::ModelStub;

const MODEL: &str = "stub-model";
/// The number of keys that are created and revoked.
const KEY_COUNT: usize = 30;
/// The time within which a change takes effect on all nodes.
const MAX_DELAY: Duration = Duration::from_secs(1);
/// The interval of the polls that find changes whose announcement is lost.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

async fn chat(api: &Api, revision: Option<&str>) -> u16 {
    let body = json!({"model": MODEL, "messages": [{"role": "user", "content": "Hello"}]});
    let mut request = api.request(Method::POST, "/chat/completions").json(&body);
    if let Some(revision) = revision {
        request = request.header("x-orgplane-revision", revision);
    }
    request.send().await.expect("an answer").status().as_u16()
}

/// Two nodes, and an upstream.
struct Pair {
    _stub: ModelStub,
    _world: World,
    one: Server,
    other: Server,
    admin: Api,
}

impl Pair {
    async fn start(settings: &str) -> Option<Self> {
        let stub = ModelStub::start().await;
        let world = World::start(&format!("{settings}{}", stub.setting(&[MODEL])))?;
        let (one, admin) = world.first_node();
        let other = Server::from(world.node(&world.url()));
        Some(Self {
            _stub: stub,
            _world: world,
            one,
            other,
            admin,
        })
    }

    /// Creates a key, which works at once on the other node. Returns it as a client there, and the path of its owner.
    async fn key(&self, project: &str) -> (Api, String) {
        let path = format!("/organization/projects/{project}/service_accounts");
        let account = self.admin.post(&path, &json!({"name": "Account"})).await;
        let key = account["api_key"]["value"].as_str().expect("a key");
        let id = account["id"].as_str().expect("an id");
        let there = self.other.api(key);
        assert_eq!(
            chat(&there, None).await,
            200,
            "used at once on the other node"
        );
        (there, format!("{path}/{id}"))
    }

    /// Deletes an account on the first node. Returns the revision of the change.
    async fn delete(&self, path: &str) -> String {
        let answer = self.admin.request(Method::DELETE, path).send().await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.status(), 200);
        let revision = answer.headers().get("x-orgplane-revision");
        let revision = revision.expect("a revision").to_str().expect("a number");
        revision.to_owned()
    }

    fn stop(self) {
        self.other.stop();
        self.one.stop();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b6_a_new_key_works_at_once_on_the_other_node_and_a_revoked_one_is_refused_within_a_second()
{
    let Some(pair) = Pair::start("").await else {
        return;
    };
    let (project, _) = pair.admin.application("App").await;
    let mut delays = Vec::new();
    for _ in 0..KEY_COUNT {
        let (there, account) = pair.key(&project).await;
        pair.delete(&account).await;
        let revoked = Instant::now();
        while chat(&there, None).await != 401 {
            assert!(revoked.elapsed() < MAX_DELAY, "the revoked key is taken");
        }
        delays.push(revoked.elapsed());
    }
    delays.sort_unstable();
    // Polls alone would take half of their interval.
    let median = delays[KEY_COUNT / 2];
    assert!(median < POLL_INTERVAL / 4, "{delays:?}");
    pair.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_names_the_revision_of_a_change_is_answered_as_of_that_change() {
    let Some(pair) = Pair::start("").await else {
        return;
    };
    let (project, _) = pair.admin.application("App").await;
    for _ in 0..KEY_COUNT {
        let (there, account) = pair.key(&project).await;
        let revision = pair.delete(&account).await;
        assert_eq!(chat(&there, Some(&revision)).await, 401);
    }
    let (there, _) = pair.key(&project).await;
    for (revision, is_waited_for) in [("x", false), ("-1", false), ("9999999999", true)] {
        let asked = Instant::now();
        assert_eq!(chat(&there, Some(revision)).await, 200, "{revision}");
        let took = asked.elapsed();
        assert_eq!(
            took >= Duration::from_millis(900),
            is_waited_for,
            "{revision}: {took:?}"
        );
    }
    pair.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_settles_everywhere_is_answered_when_all_nodes_act_on_it() {
    let Some(pair) = Pair::start("[cluster]\nsettle = 'all'\n").await else {
        return;
    };
    let (project, _) = pair.admin.application("App").await;
    for _ in 0..KEY_COUNT {
        let (there, account) = pair.key(&project).await;
        pair.delete(&account).await;
        assert_eq!(chat(&there, None).await, 401);
    }
    pair.stop();
}
