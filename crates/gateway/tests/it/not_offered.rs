//! Operations of the hosted service that the gateway does not offer.

use http::Method;

use crate::upstream::{COMPLETION, Reply};
use crate::world::{World, request};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_offered_is_named_with_what_to_use_instead() {
    let world = World::start(Reply::whole(200, COMPLETION)).await;
    for (method, path, words) in [
        ("POST", "/v1/realtime/client_secrets", "the Realtime API"),
        ("POST", "/v1/live/sessions", "live sessions"),
        ("GET", "/v1/videos/video_1/content", "videos"),
        ("POST", "/v1/skills", "skills"),
        ("POST", "/v1/fine_tuning/alpha/graders/run", "graders"),
        ("POST", "/v1/fine_tuning/jobs", "fine-tuning"),
        ("DELETE", "/v1/models/ft:real:org::1", "deletion of models"),
        ("POST", "/v1/evals/eval_1/runs", "evals"),
        ("PATCH", "/v1/assistants", "/v1/conversations"),
        ("POST", "/v1/threads/runs", "POST /v1/responses"),
        ("POST", "/v1/chatkit/sessions", "ChatKit"),
        ("GET", "/v1/agents/sessions/s/events", "hosted agents"),
        ("GET", "/v1/vaults", "vaults"),
        ("POST", "/v1/webhook_endpoints", "webhooks"),
        ("GET", "/v1/webhook_event_types", "webhooks"),
        ("POST", "/v1/audio/voices", "custom voices"),
    ] {
        for key in [world.service(), ""] {
            let method = Method::from_bytes(method.as_bytes()).expect(method);
            let answer = world.send(request(method, path, key, "{}")).await;
            let [message, kind, param, code] = answer.error();
            assert_eq!((answer.status.as_u16(), code), (404, "not_offered".into()));
            assert_eq!(
                (kind, param),
                ("invalid_request_error".into(), serde_json::Value::Null)
            );
            let message = message.as_str().expect("a message");
            assert!(message.contains(words), "{path}: {message}");
            assert!(message.starts_with("Not offered here: "), "{message}");
        }
    }
    for (path, status) in [("/v1/models/real", 200), ("/v1/realtimes", 404)] {
        let answer = world
            .send(request(Method::GET, path, world.service(), ""))
            .await;
        assert_eq!(answer.status, status, "{path}");
        assert!(!answer.body.contains("not_offered"), "{path}");
    }
    assert!(world.upstream.asked().is_empty());
}
