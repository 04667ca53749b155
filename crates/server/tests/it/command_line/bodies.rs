//! Request bodies from flags, pipes and files.

use serde_json::{Value, json};

use super::recording_server::RecordingServer;

fn sent(server: &RecordingServer) -> Value {
    serde_json::from_slice(&server.last_call().sent).expect("a JSON body")
}

#[tokio::test(flavor = "multi_thread")]
async fn flags_make_the_body() {
    let server = RecordingServer::start().await;
    let project = server.default_project();
    let by_value = format!("{{id: {project}, role: member}}");
    let by_fields = [
        "invites",
        "create",
        "--email",
        "a@b.example",
        "--role",
        "reader",
        "--project.id",
        &project,
        "--project.role",
        "owner",
        "--project.id",
        "proj_other",
    ];
    let ended = server.run(&by_fields);
    assert_eq!(ended.code, Some(1), "there is no such project: {ended:?}");
    assert_eq!(
        sent(&server),
        json!({"email": "a@b.example", "role": "reader", "projects": [{"id": project, "role": "owner"}, {"id": "proj_other"}]})
    );
    server.done(&[
        "invites",
        "create",
        "--email",
        "a@b.example",
        "--role=reader",
        "--project",
        &by_value,
    ]);
    assert_eq!(
        sent(&server)["projects"],
        json!([{"id": project, "role": "member"}])
    );

    let created = server
        .done(&["projects", "create", "--name", "Apollo"])
        .id();
    server.done(&["projects", "update", &created, "--external-key-id", "null"]);
    assert_eq!(sent(&server), json!({"external_key_id": null}));
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_have_brackets_for_lists_and_maps() {
    let server = RecordingServer::start().await;
    server.done(&[
        "audit-logs",
        "list",
        "--event-type",
        "project.created",
        "--event-type",
        "user.added",
        "--effective-at.gte",
        "0x10",
        "--tenant-only=false",
    ]);
    assert_eq!(
        server.last_call().address,
        "/v1/organization/audit_logs?effective_at%5Bgte%5D=16&event_types%5B%5D=project.created&\
         event_types%5B%5D=user.added&tenant_only=false"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_has_the_body_and_the_path_and_flags_win() {
    let server = RecordingServer::start().await;
    let project = server.default_project();
    let yaml = format!("project_id: {project}\nname: Production App\n");
    let create = ["projects:service-accounts", "create"];
    let ended = server.piped(&create, &yaml);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let call = server.last_call();
    assert_eq!(
        call.address,
        format!("/v1/organization/projects/{project}/service_accounts")
    );
    assert_eq!(sent(&server), json!({"name": "Production App"}));

    let ended = server.piped(&[&create[..], &["--name", "Mine"]].concat(), &yaml);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(sent(&server), json!({"name": "Mine"}));

    let ended = server.piped(
        &["projects", "retrieve"],
        &format!("{{\"project_id\": \"{project}\"}}"),
    );
    assert_eq!(ended.code, Some(0), "{ended:?}");

    let event = |id: i32| json!({"id": format!("evt_{id}"), "timestamp": 1_768_470_000, "type": "completions", "project_id": project, "model": "gpt-5"});
    let lines = format!("{}\n{}\n", event(1), event(2));
    let ended = server.piped(&["usage:events", "create"], &lines);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(sent(&server), json!([event(1), event(2)]));

    let many: String = (10..2_510).map(|id| format!("{}\n", event(id))).collect();
    let ended = server.piped(&["usage:events", "create", "--format", "jsonl"], &many);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.stdout.lines().count(), 3, "an answer for each part");
    let last = sent(&server);
    assert_eq!(last.as_array().map(Vec::len), Some(500));
    assert_eq!(last[499], event(2_509));

    let ended = server.piped(&["usage:events", "create", "--id", "evt_3"], &lines);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("Cannot merge flags with a body that is not a map"),
        "{ended:?}"
    );
    let ended = server.piped(&create, "{name: [");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("Failed to parse piped data as YAML/JSON:\n"),
        "{ended:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_or_the_pipe_has_a_value() {
    let server = RecordingServer::start().await;
    std::fs::write(server.directory().join("name.txt"), "From a file").expect("written");
    server.done(&["groups", "create", "--name", "@name.txt"]);
    assert_eq!(sent(&server), json!({"name": "From a file"}));
    let ended = server.piped(&["groups", "create", "--name", "@-"], "From a pipe");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(sent(&server), json!({"name": "From a pipe"}));
    server.done(&["groups", "create", "--name", "\\@name.txt"]);
    assert_eq!(sent(&server), json!({"name": "@name.txt"}));
    let ended = server.run(&["groups", "create", "--name", "@absent.txt"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("absent.txt"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_debug_log_has_no_secret() {
    let server = RecordingServer::start().await;
    let ended = server.run(&["users", "list", "--debug"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("GET /v1/organization/users HTTP/1.1\n"),
        "{ended:?}"
    );
    assert!(
        ended.stderr.contains("authorization: Bearer <REDACTED>\n"),
        "{ended:?}"
    );
    assert!(ended.stderr.contains("200 OK\n"), "{ended:?}");
    assert!(!ended.stderr.contains("sk-admin"), "{ended:?}");
}
