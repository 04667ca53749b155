//! Property of two projects on one account: whatever a project guesses of the other one's objects of any kind, and wherever and in
//! whatever spelling a request names it, nothing of theirs is reached.

mod places;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::LazyLock;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use gateway::{FlowLimits, ObjectKind, ObjectLimits, UpstreamConfig};
use http::{HeaderValue, Method, Request};
use http_body_util::Full;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use self::places::{BODIES, FIELDS, PATHS, QUERIES, in_json, in_path, names_of, spell};
use super::storage_server::StorageServer;
use super::{batch_of, keeper, line, upload, world};
use crate::upstream::{COMPLETION, Reply};
use crate::websockets::harness::{Client, Listener, SocketUpstream, response, socket_config};
use crate::world::{Answer, Bounds, World, read};

/// Text in all objects of the other project.
const SECRET: &str = "theirs-alone";
/// The model that is served over WebSocket.
const SOCKET_MODEL: &str = "socketed";

/// Two projects that share an account, and one object of each kind for each.
struct Neighbours {
    runtime: Runtime,
    world: World,
    shelf: StorageServer,
    /// A client of the listener that upgrades connections, and the model server behind.
    sockets: (Listener, SocketUpstream),
    own: Ids,
    foreign: Ids,
    /// The objects of the other project as the upstream has them.
    before: BTreeMap<String, Value>,
}

/// The ids of objects by kind: `{file}` in a template is the id of a file.
type Ids = BTreeMap<&'static str, String>;

static NEIGHBOURS: LazyLock<Neighbours> = LazyLock::new(|| {
    let runtime = Runtime::new().expect("a runtime");
    let (world, shelf, sockets, own, foreign) = runtime.block_on(async {
        let (world, shelf, upstream) = unlimited().await;
        let own = objects(&world, world.service()).await;
        let foreign = objects(&world, world.other()).await;
        let listener = Listener::start(&world.gateway).await;
        (world, shelf, (listener, upstream), own, foreign)
    });
    let before = of_others(&shelf, &foreign);
    Neighbours {
        runtime,
        world,
        shelf,
        sockets,
        own,
        foreign,
        before,
    }
});

/// Starts a gateway whose projects may keep any number of objects. Its second upstream speaks WebSocket, and stores as well.
async fn unlimited() -> (World, StorageServer, SocketUpstream) {
    let shelf = StorageServer::start().await;
    let sockets = SocketUpstream::start(response()).await;
    let socket = UpstreamConfig {
        stores: true,
        models: vec![SOCKET_MODEL.to_owned()],
        aliases: BTreeMap::new(),
        ..socket_config("sockets", sockets.base_url())
    };
    let bounds = Bounds {
        flow: FlowLimits {
            objects: ObjectLimits {
                requests_per_minute: 0,
                max_files: 0,
                max_vector_stores: 0,
                max_containers: 0,
                ..ObjectLimits::default()
            },
            ..FlowLimits::default()
        },
        ..Bounds::default()
    };
    let upstreams = |_| vec![keeper(shelf.base_url()), socket];
    let world = World::bounded(Reply::whole(200, COMPLETION), upstreams, bounds).await;
    (world, shelf, sockets)
}

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
    let body = json!({"model": "real", "input": SECRET, "metadata": {"x": SECRET}});
    let response = world.make("/v1/responses", key, &body).await.json();
    let item = response["output"][0]["id"]
        .as_str()
        .expect("an item")
        .to_owned();
    let stored = json!({"model": "real", "messages": [], "store": true, "metadata": {"x": SECRET}});
    let metadata = json!({"metadata": {"x": SECRET}});
    Ids::from([
        ("file", file),
        ("input", input),
        ("batch", batch),
        ("store", store),
        ("upload", upload),
        ("part", part.id()),
        ("container", container),
        ("inside", inside),
        ("response", super::id_of(&response)),
        ("item", item),
        ("conversation", make("/v1/conversations", metadata).await),
        ("completion", make("/v1/chat/completions", stored).await),
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
    /// A body in this content coding.
    Coded(usize, u8, u8),
    /// A body on a line of a batch.
    Line(usize, u8, u8),
    /// A body as a message over WebSocket.
    Message(usize, u8, u8),
    Form(usize),
}

fn guesses() -> impl Strategy<Value = Guess> {
    prop_oneof![
        3 => (0..PATHS.len(), any::<u8>()).prop_map(|(path, spelling)| Guess::Path(path, spelling)),
        2 => (0..QUERIES.len(), any::<u8>()).prop_map(|(path, spelling)| Guess::Query(path, spelling)),
        5 => (0..BODIES.len(), any::<u8>(), any::<u8>())
            .prop_map(|(body, name, id)| Guess::Body(body, name, id)),
        1 => (0..BODIES.len(), any::<u8>(), any::<u8>())
            .prop_map(|(body, name, id)| Guess::Coded(body, name, id)),
        2 => (0..BODIES.len(), any::<u8>(), any::<u8>())
            .prop_map(|(body, name, id)| Guess::Line(body, name, id)),
        2 => (0..BODIES.len(), any::<u8>(), any::<u8>())
            .prop_map(|(body, name, id)| Guess::Message(body, name, id)),
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
                let path = with_own(path, &self.own, "").replace("{}", &in_path(id, spelling));
                (build("GET", &path, String::new())?, id)
            }
            Guess::Body(body, name, spelling) => {
                let (path, body, id) = self.body(body, name, spelling);
                (build("POST", &path, body)?, id)
            }
            Guess::Coded(body, name, spelling) => {
                let (path, body, id) = self.body(body, name, spelling);
                let mut request = build("POST", &path, String::new())?;
                let coding = HeaderValue::from_static("gzip");
                request.headers_mut().insert("content-encoding", coding);
                let body = gzip(body.as_bytes());
                (request.map(|_| Full::new(Bytes::from(body))), id)
            }
            Guess::Line(body, name, spelling) => {
                let (body, id) = self.batch(body, name, spelling);
                (build("POST", "/v1/batches", body)?, id)
            }
            // Sent by another way.
            Guess::Message(..) => return None,
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

    /// Returns the body of a batch whose file has a guess as its line, and the id that the guess names.
    fn batch(&self, body: usize, name: u8, spelling: u8) -> (String, &str) {
        let key = self.world.service();
        let (path, body, id) = self.body(body, name, spelling);
        let line = format!(r#"{{"custom_id":"a","method":"POST","url":"{path}","body":{body}}}"#);
        let uploaded = self.runtime.block_on(async {
            let upload = upload(key, "batch", &line);
            read(self.world.gateway.handle(upload).await).await
        });
        // A file that is refused is no input of a batch.
        let file = match uploaded.status.as_u16() {
            200 => uploaded.id(),
            _ => self.own["file"].clone(),
        };
        let body = json!({"input_file_id": file, "endpoint": path, "completion_window": "24h"});
        (body.to_string(), id)
    }

    /// Returns the path and the body of a guess, and the id that it names.
    fn body(&self, body: usize, name: u8, spelling: u8) -> (String, String, &str) {
        let (path, body, kind) = BODIES[body];
        let id = &*self.foreign[kind];
        let path = with_own(path, &self.own, "");
        let body = with_own(&spell(body, name), &self.own, "\"");
        (path, body.replace("{}", &in_json(id, spelling)), id)
    }

    /// Sends a body as a message over WebSocket, and returns the event that answers it.
    fn send_message(&self, body: &str) -> Value {
        let body = body.replacen('{', r#"{"type":"response.create","#, 1);
        let body = body.replace(r#""model":"real""#, &format!(r#""model":"{SOCKET_MODEL}""#));
        self.runtime.block_on(async {
            let (listener, _) = &self.sockets;
            let client = Client::connect(listener.address, self.world.service(), "").await;
            let mut client = client.expect("a connection");
            client.send(&body).await;
            let event = client.event().await;
            client.close().await;
            event
        })
    }

    /// Sends a request, and returns the answer with what was passed on.
    fn send(&self, request: Request<Full<Bytes>>) -> (Answer, Vec<(String, Bytes)>) {
        self.shelf.state().asked.clear();
        self.shelf.state().queries.clear();
        let answer = self
            .runtime
            .block_on(async { read(self.world.gateway.handle(request).await).await });
        let asked = std::mem::take(&mut self.shelf.state().asked);
        (answer, asked)
    }
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).expect("written");
    encoder.finish().expect("gzip")
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
    #![proptest_config(ProptestConfig::with_cases(1200))]

    #[test]
    fn a_guessed_id_reaches_nothing_of_another_project(guess in guesses()) {
        let all = &*NEIGHBOURS;
        if let Guess::Message(body, name, spelling) = guess {
            let (_, body, id) = all.body(body, name, spelling);
            let event = all.send_message(&body);
            prop_assert!(!event.to_string().contains(SECRET), "{event}");
            let asked = all.sockets.1.asked();
            prop_assert!(!asked.iter().any(|text| unescaped(text.as_bytes()).contains(id)), "{asked:?}");
            prop_assert_eq!(of_others(&all.shelf, &all.foreign), all.before.clone());
            return Ok(());
        }
        let Some((request, id)) = all.request(&guess) else {
            return Ok(());
        };
        let path = request.uri().path().to_owned();
        let is_within = path.contains("/files") && (path.contains("/containers/") || path.contains("/vector_stores/"));
        let (answer, asked) = all.send(request);
        prop_assert!(answer.status.is_client_error() || answer.status == 200, "{answer:?}");
        prop_assert!(!answer.body.contains(SECRET), "{answer:?}");
        // What is in a container or a vector store is asked of the project's own one, which does not have it.
        let is_inside = |what: &str| is_within && (what.contains(&all.own["container"]) || what.contains(&all.own["store"]));
        let queries = std::mem::take(&mut all.shelf.state().queries);
        for (what, body) in &asked {
            if !is_inside(what) {
                prop_assert!(!what.contains(id), "{what}");
                let spellings = [0, 2, 3].map(|spelling| in_path(id, spelling));
                let names = |query: &String| spellings.iter().any(|id| query.contains(id));
                prop_assert!(!queries.iter().any(names), "{what} {queries:?}");
            }
            prop_assert!(!unescaped(body).contains(id), "{what} {}", unescaped(body));
        }
        prop_assert_eq!(of_others(&all.shelf, &all.foreign), all.before.clone());
    }
}

#[test]
fn every_kind_of_object_is_named_in_a_path_and_where_bodies_can() {
    let in_paths: BTreeSet<&str> = PATHS.iter().map(|(.., kind)| *kind).collect();
    let in_bodies: BTreeSet<&str> = BODIES.iter().map(|(.., kind)| *kind).collect();
    for kind in ObjectKind::ALL {
        let names = names_of(*kind);
        let is_named = names.iter().any(|name| in_paths.contains(name));
        assert!(is_named, "{kind:?} has no place in a path");
        let is_in_body = names.iter().any(|name| in_bodies.contains(name));
        // No member of a request names one of these.
        let has_no_member = matches!(
            kind,
            ObjectKind::Batch | ObjectKind::Upload | ObjectKind::ChatCompletion
        );
        assert_ne!(is_in_body, has_no_member, "{kind:?}");
    }
    let all = ObjectKind::ALL.iter().flat_map(|kind| names_of(*kind));
    let all: BTreeSet<&str> = all.copied().collect();
    let used: BTreeSet<&str> = NEIGHBOURS.foreign.keys().copied().collect();
    assert_eq!(all, used, "every kind has an object");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_own_id_reaches_what_it_names_in_every_body() {
    let (world, shelf) = world().await;
    for &(path, body, kind) in BODIES {
        let own = objects(&world, world.service()).await;
        let path = with_own(path, &own, "");
        // What the model server has no answer to, and the prompt whose owner nobody knows.
        let is_unanswered = [
            "/v1/chat/completions",
            "/v1/responses/compact",
            "/v1/responses/input_tokens",
        ];
        let is_refused = kind == "file" && path.ends_with("/complete") || body.contains("pmpt_1");
        if is_refused || is_unanswered.contains(&&*path) {
            continue;
        }
        shelf.asked();
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
