//! Property: whatever a project guesses of another one's objects, and wherever a request names it, nothing of theirs is reached.

mod places;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use bytes::Bytes;
use http::{HeaderValue, Method, Request};
use http_body_util::Full;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use self::places::{BODIES, FIELDS, PATHS, QUERIES, in_json, in_path, spell};
use super::storage_server::StorageServer;
use super::{batch_of, line, upload, world};
use crate::world::{Answer, World, read};

/// Text in all objects of the other project.
const SECRET: &str = "theirs-alone";

/// Two projects that share an account, and one object of each kind for each.
struct Neighbours {
    runtime: Runtime,
    world: World,
    shelf: StorageServer,
    own: Ids,
    foreign: Ids,
    /// The objects of the other project as the upstream has them.
    before: BTreeMap<String, Value>,
}

/// The ids of objects by kind: `{file}` in a template is the id of a file.
type Ids = BTreeMap<&'static str, String>;

static NEIGHBOURS: LazyLock<Neighbours> = LazyLock::new(|| {
    let runtime = Runtime::new().expect("a runtime");
    let (world, shelf, own, foreign) = runtime.block_on(async {
        let (world, shelf) = super::quota::bounded(gateway::ObjectLimits {
            requests_per_minute: 0,
            ..gateway::ObjectLimits::default()
        })
        .await;
        let own = objects(&world, world.service()).await;
        let foreign = objects(&world, world.other()).await;
        (world, shelf, own, foreign)
    });
    let before = of_others(&shelf, &foreign);
    Neighbours {
        runtime,
        world,
        shelf,
        own,
        foreign,
        before,
    }
});

/// Creates an object of each kind.
async fn objects(world: &World, key: &str) -> Ids {
    let make = async |path: &str, body: Value| world.make(path, key, &body).await.id();
    let named = json!({"name": SECRET});
    let file = world.file(key, "user_data", SECRET).await;
    let input = world.file(key, "batch", &line("{}")).await;
    let batch = make("/v1/batches", batch_of(&input)).await;
    let store = make("/v1/vector_stores", named.clone()).await;
    let pending = json!({"filename": SECRET, "purpose": "user_data", "bytes": 12});
    let upload = make("/v1/uploads", pending).await;
    let part = world
        .send(form(
            &format!("/v1/uploads/{upload}/parts"),
            key,
            "data",
            SECRET,
        ))
        .await;
    let container = make("/v1/containers", named).await;
    let files = format!("/v1/containers/{container}/files");
    let inside = make(&files, json!({"file_id": file})).await;
    Ids::from([
        ("file", file),
        ("input", input),
        ("batch", batch),
        ("store", store),
        ("upload", upload),
        ("part", part.id()),
        ("container", container),
        ("inside", inside),
    ])
}

/// Returns the objects with these ids as the upstream has them.
fn of_others(shelf: &StorageServer, ids: &Ids) -> BTreeMap<String, Value> {
    let state = shelf.state();
    let found = |id: &String| Some((id.clone(), state.objects.get(id)?.clone()));
    ids.values().filter_map(found).collect()
}

/// Returns a form with one file of this name.
fn form(path: &str, key: &str, field: &str, content: &str) -> Request<Full<Bytes>> {
    let body = format!(
        "--xx\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"{SECRET}\"\r\n\r\n{content}\r\n--xx--\r\n"
    );
    with_form(path, key, body)
}

fn with_form(path: &str, key: &str, body: String) -> Request<Full<Bytes>> {
    let mut request = upload(key, "user_data", "");
    *request.uri_mut() = path.parse().expect("a path");
    *request.method_mut() = Method::POST;
    let kind = HeaderValue::from_static("multipart/form-data; boundary=xx");
    request.headers_mut().insert("content-type", kind);
    request.map(|_| Full::new(Bytes::from(body)))
}

/// Returns a text with the ids of own objects in place of `{kind}`.
fn with_own(text: &str, own: &Ids, quote: &str) -> String {
    let mut text = text.to_owned();
    for (kind, id) in own {
        text = text.replace(&format!("{{{kind}}}"), id);
        text = text.replace(&format!("{{own {kind}}}"), &format!("{quote}{id}{quote}"));
    }
    text
}

/// A request that names an object of the other project.
#[derive(Clone, Debug)]
enum Guess {
    Path(usize, u8),
    Query(usize, u8),
    Body(usize, u8, u8),
    Form(usize),
}

fn guesses() -> impl Strategy<Value = Guess> {
    prop_oneof![
        3 => (0..PATHS.len(), any::<u8>()).prop_map(|(path, spelling)| Guess::Path(path, spelling)),
        1 => (0..QUERIES.len(), any::<u8>()).prop_map(|(path, spelling)| Guess::Query(path, spelling)),
        4 => (0..BODIES.len(), any::<u8>(), any::<u8>())
            .prop_map(|(body, name, id)| Guess::Body(body, name, id)),
        1 => (0..FIELDS.len()).prop_map(Guess::Form),
    ]
}

impl Neighbours {
    /// Returns the request of a guess, with the id that it names; `None` if it is none that HTTP can carry.
    fn request(&self, guess: &Guess) -> Option<(Request<Full<Bytes>>, &str)> {
        let key = self.world.service();
        let build = |method: &str, path: &str, body: String| {
            let request = Request::builder().method(method).uri(path);
            let request = request.header("authorization", format!("Bearer {key}"));
            request.body(Full::new(Bytes::from(body))).ok()
        };
        Some(match *guess {
            Guess::Path(path, spelling) => {
                let (method, path, kind) = PATHS[path];
                let id = &*self.foreign[kind];
                let path = with_own(path, &self.own, "").replace("{}", &in_path(id, spelling));
                let body = json!({"query": "x", "part_ids": [self.own["part"]], "file_id": self.own["file"]});
                if path.ends_with("/parts") {
                    (
                        form(path.parse::<http::Uri>().ok()?.path(), key, "data", "x"),
                        id,
                    )
                } else {
                    let body = if method == "POST" {
                        body.to_string()
                    } else {
                        String::new()
                    };
                    (build(method, &path, body)?, id)
                }
            }
            Guess::Query(path, spelling) => {
                let (path, kind) = QUERIES[path];
                let id = &*self.foreign[kind];
                let path = path.replace("{}", &in_path(id, spelling));
                (build("GET", &path, String::new())?, id)
            }
            Guess::Body(body, name, spelling) => {
                let (path, body, kind) = BODIES[body];
                let id = &*self.foreign[kind];
                let path = with_own(path, &self.own, "");
                let body = with_own(&spell(body, name), &self.own, "\"");
                let body = body.replace("{}", &in_json(id, spelling));
                (build("POST", &path, body)?, id)
            }
            Guess::Form(field) => {
                let id = &*self.foreign["file"];
                let path = with_own("/v1/containers/{container}/files", &self.own, "");
                let field = FIELDS[field];
                let body = format!(
                    "--xx\r\nContent-Disposition: form-data; name=\"{field}\"\r\n\r\n{id}\r\n--xx--\r\n"
                );
                (with_form(&path, key, body), id)
            }
        })
    }

    /// Sends a request, and returns the answer with what was passed on.
    fn send(&self, request: Request<Full<Bytes>>) -> (Answer, Vec<(String, Bytes)>) {
        self.shelf.state().asked.clear();
        let answer = self
            .runtime
            .block_on(async { read(self.world.gateway.handle(request).await).await });
        let asked = std::mem::take(&mut self.shelf.state().asked);
        (answer, asked)
    }
}

/// Returns a text without escapes of JSON.
fn unescaped(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body).into_owned();
    match serde_json::from_str::<Value>(&text) {
        Ok(json) => json.to_string(),
        Err(_) => text,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn a_guessed_id_reaches_nothing_of_another_project(guess in guesses()) {
        let all = &*NEIGHBOURS;
        let Some((request, id)) = all.request(&guess) else {
            return Ok(());
        };
        let is_within = request.uri().path().contains("/files/") && request.uri().path().contains("/containers/");
        let (answer, asked) = all.send(request);
        prop_assert!(answer.status.is_client_error() || answer.status == 200, "{answer:?}");
        prop_assert!(!answer.body.contains(SECRET), "{answer:?}");
        for (what, body) in &asked {
            // What is in a container is asked of its own container, which does not have it.
            let is_inside = is_within && what.contains(&all.own["container"]);
            if is_inside {
                prop_assert_eq!(answer.status.as_u16(), 404);
                continue;
            }
            prop_assert!(!what.contains(id), "{what}");
            prop_assert!(!unescaped(body).contains(id), "{what} {}", unescaped(body));
        }
        prop_assert_eq!(of_others(&all.shelf, &all.foreign), all.before.clone());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_own_id_reaches_what_it_names_in_every_body() {
    let (world, shelf) = world().await;
    shelf.state().response = Some(json!({"id": "resp_1", "status": "completed", "output": []}));
    for (path, body, kind) in BODIES {
        let own = objects(&world, world.service()).await;
        let path = with_own(path, &own, "");
        if kind == "file" && path.ends_with("/complete") || path == "/v1/chat/completions" {
            continue;
        }
        let id = &own[kind];
        let body = with_own(&spell(body, 0), &own, "\"").replace("{}", &format!("\"{id}\""));
        let body = match body.contains(&format!("\"{id}\",\"{id}\"")) {
            true => body.replace(&format!("\"{id}\",\"{id}\""), &format!("\"{id}\"")),
            false => body,
        };
        let answer = world
            .call(Method::POST, &path, world.service(), &body)
            .await;
        assert_eq!(answer.status, 200, "{path} {body}: {}", answer.body);
    }
}
