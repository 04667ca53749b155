//! Hosted tools of a response, which have rows in reports of their own.

use super::*;

const OUTPUT: &str = r#"[{"type":"web_search_call","action":{"type":"search"}},{"type":"web_search_call","action":{"type":"open_page"}},{"type":"file_search_call","queries":["x"]},{"type":"code_interpreter_call","container_id":"c1"},{"type":"code_interpreter_call","container_id":"c1"},{"type":"message","content":[{"type":"output_text","text":"Hello"}]}]"#;

#[tokio::test(flavor = "multi_thread")]
async fn each_hosted_tool_is_recorded_in_its_own_report() {
    let usage = r#""usage":{"input_tokens":20,"output_tokens":6}"#;
    let response = format!(r#"{{"status":"completed","output":{OUTPUT},{usage}}}"#);
    let event = format!(
        "event: response.completed\ndata: {{\"type\":\"response.completed\",\"response\":{response}}}\n\n"
    );
    let replies = [
        Reply::whole(200, &response),
        Reply::stream(vec![send(&event)]),
    ];
    for reply in replies {
        let world = World::start(reply).await;
        let body = r#"{"model":"real","input":"x","tools":[{"type":"web_search"}]}"#;
        let answer = world.post("/v1/responses", body).await;
        let request = answer.header("x-request-id").to_owned();
        let rows = world.rows(4).await;
        let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
        let tools = [
            "code_interpreter_sessions",
            "file_search_calls",
            "web_search_calls",
        ];
        let mut expected = vec![request.clone()];
        expected.extend(tools.map(|tool| format!("{request}-{tool}")));
        assert_eq!(ids, expected);
        assert_eq!(
            world.consumed().await,
            [
                "completions real succeeded input_tokens=20 output_tokens=6 num_model_requests=1",
                "code_interpreter_sessions  succeeded num_sessions=1",
                "file_search_calls  succeeded num_requests=1",
                "web_search_calls real succeeded num_requests=1",
            ]
        );
    }
}
