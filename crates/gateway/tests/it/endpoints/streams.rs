//! The streams of each endpoint: with usage at the end, without usage, and with a client that disconnects.

use super::*;

/// A stream and its recorded usage: complete, without its report, and after a disconnect.
struct Streamed {
    path: &'static str,
    body: &'static str,
    /// The events, of which the last one has the usage.
    events: &'static [&'static str],
    /// The end of the stream without a report.
    end: &'static str,
    reported: &'static str,
    estimated: &'static str,
}

const TABLE: &[Streamed] = &[
    Streamed {
        path: "/v1/completions",
        body: r#"{"model":"real","prompt":"01234567","stream":true,"stream_options":{"include_usage":true}}"#,
        events: &[
            "data: {\"choices\":[{\"text\":\"Hello\"}],\"usage\":null}\n\n",
            "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":7}}\n\n",
        ],
        end: "data: {\"choices\":[{\"text\":\"\",\"finish_reason\":\"stop\"}]}\n\n",
        reported: "completions real succeeded input_tokens=11 output_tokens=7 num_model_requests=1",
        estimated: "completions real succeeded estimated input_tokens=3 output_tokens=2 num_model_requests=1",
    },
    Streamed {
        path: "/v1/responses",
        body: r#"{"model":"real","input":"01234567","stream":true}"#,
        events: &[
            "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"status\":\"in_progress\",\"usage\":null}}\n\n",
            "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"Hello\"}\n\n",
            "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"status\":\"completed\",\"usage\":{\"input_tokens\":11,\"input_tokens_details\":{\"cached_tokens\":1},\"output_tokens\":7}}}\n\n",
        ],
        end: "data: {\"type\":\"response.completed\",\"response\":{\"status\":\"completed\",\"usage\":null}}\n\n",
        reported: "completions real succeeded input_tokens=11 output_tokens=7 num_model_requests=1 input_cached_tokens=1 input_uncached_tokens=10",
        estimated: "completions real succeeded estimated input_tokens=3 output_tokens=2 num_model_requests=1",
    },
    Streamed {
        path: "/v1/images/generations",
        body: r#"{"model":"real","prompt":"a","stream":true,"n":1}"#,
        events: &[
            "data: {\"type\":\"image_generation.partial_image\",\"b64_json\":\"AAAA\"}\n\n",
            "data: {\"type\":\"image_generation.completed\",\"b64_json\":\"AAAA\",\"size\":\"1x1\",\"usage\":{\"input_tokens\":5,\"output_tokens\":9}}\n\n",
        ],
        end: "data: {\"type\":\"image_generation.completed\",\"b64_json\":\"AAAA\"}\n\n",
        reported: "images real succeeded input_tokens=5 output_tokens=9 num_model_requests=1 images=1 size=1x1 source=image.generation",
        estimated: "images real succeeded num_model_requests=1 images=1 source=image.generation",
    },
    Streamed {
        path: "/v1/audio/speech",
        body: r#"{"model":"real","input":"hello","stream_format":"sse"}"#,
        events: &[
            "data: {\"type\":\"speech.audio.delta\",\"audio\":\"AAAA\"}\n\n",
            "data: {\"type\":\"speech.audio.done\",\"usage\":{\"input_tokens\":5,\"output_tokens\":9}}\n\n",
        ],
        end: "data: {\"type\":\"speech.audio.done\"}\n\n",
        reported: "audio_speeches real succeeded input_tokens=5 output_tokens=9 num_model_requests=1 characters=5",
        estimated: "audio_speeches real succeeded estimated input_tokens=2 output_tokens=8 num_model_requests=1 output_audio_tokens=8 characters=5",
    },
    Streamed {
        path: "/v1/audio/transcriptions",
        body: "",
        events: &[
            "data: {\"type\":\"transcript.text.delta\",\"delta\":\"Hello\"}\n\n",
            "data: {\"type\":\"transcript.text.done\",\"text\":\"Hello\",\"usage\":{\"type\":\"duration\",\"seconds\":4}}\n\n",
        ],
        end: "data: {\"type\":\"transcript.text.done\",\"text\":\"Hello\"}\n\n",
        reported: "audio_transcriptions real succeeded num_model_requests=1 seconds=4",
        estimated: "audio_transcriptions real succeeded estimated num_model_requests=1 seconds=1",
    },
];

impl Streamed {
    fn request(&self, key: &str) -> Request<Full<Bytes>> {
        let parts = body(self.path, "real");
        post(
            key,
            self.path,
            if self.body.is_empty() {
                &parts
            } else {
                self.body
            },
        )
    }

    /// Returns the events before the one with the usage.
    fn beginning(&self) -> &'static [&'static str] {
        &self.events[..self.events.len() - 1]
    }
}

fn steps(events: &[&str]) -> Vec<Step> {
    events.iter().map(|event| send(event)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn stream_is_forwarded_unchanged_and_its_report_recorded() {
    for case in TABLE {
        let world = World::start(Reply::stream(steps(case.events))).await;
        let answer = world.send(case.request(world.service())).await;
        assert_eq!(answer.body, case.events.concat(), "{}", case.path);
        assert_eq!(world.consumed_once().await, case.reported);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stream_without_a_report_is_estimated() {
    for case in TABLE {
        let events = [case.beginning(), &[case.end]].concat();
        let world = World::start(Reply::stream(steps(&events))).await;
        let answer = world.send(case.request(world.service())).await;
        assert_eq!(answer.body, events.concat(), "{}", case.path);
        assert_eq!(world.consumed_once().await, case.estimated);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn truncated_stream_costs_nothing() {
    let death = [Step::Wait(Duration::from_millis(50)), Step::Die];
    for case in TABLE {
        for end in [&death[..], &[]] {
            let mut all = steps(case.beginning());
            all.extend_from_slice(end);
            let world = World::start(Reply::stream(all)).await;
            let answer = world.send(case.request(world.service())).await;
            assert_eq!(answer.is_broken, !end.is_empty());
            assert_eq!(answer.body, case.beginning().concat(), "{}", case.path);
            nothing(&world, case.path).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stream_is_read_to_its_end_after_a_disconnect() {
    for case in TABLE {
        let gate = Arc::new(Semaphore::new(0));
        let mut all = steps(case.beginning());
        all.push(Step::Gate(Arc::clone(&gate)));
        all.extend(steps(&case.events[case.beginning().len()..]));
        let world = World::start(Reply::stream(all)).await;
        let mut body = world
            .gateway
            .handle(case.request(world.service()))
            .await
            .into_body();
        let first = body.frame().await.expect("a frame").expect("a piece");
        assert_eq!(first.into_data().expect("data"), case.events[0]);
        drop(body);
        assert_eq!(world.ledger().await, []);
        gate.add_permits(1);
        let left = case.reported.replace("succeeded", "client_gone");
        assert_eq!(world.consumed_once().await, left);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stream_that_says_it_is_complete_may_stay_open() {
    for case in TABLE
        .iter()
        .filter(|case| case.path.contains("responses") || case.path.contains("audio"))
    {
        let mut all = steps(case.events);
        all.push(Step::Gate(Arc::new(Semaphore::new(0))));
        let world = World::start(Reply::stream(all)).await;
        let mut body = world
            .gateway
            .handle(case.request(world.service()))
            .await
            .into_body();
        let mut text = Vec::new();
        while text.len() < case.events.concat().len() {
            let frame = body.frame().await.expect("a frame").expect("a piece");
            text.extend_from_slice(&frame.into_data().expect("data"));
        }
        drop(body);
        assert_eq!(world.consumed_once().await, case.reported);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_response_in_a_stream_is_an_upstream_failure() {
    let failed = "data: {\"type\":\"response.failed\",\"response\":{\"status\":\"failed\",\"usage\":null}}\n\n";
    let case = &TABLE[1];
    let world = World::start(Reply::stream(steps(&[case.events[1], failed]))).await;
    world.send(case.request(world.service())).await;
    nothing(&world, case.path).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_of_completions_is_requested_and_hidden() {
    let case = &TABLE[0];
    let world = World::start(Reply::stream(steps(case.events))).await;
    let body = r#"{"model":"real","prompt":"01234567","stream":true}"#;
    let answer = world.post(case.path, body).await;
    assert_eq!(answer.body, case.events[0]);
    let asked = r#"{"model":"real","prompt":"01234567","stream":true,"stream_options":{"include_usage":true}}"#;
    assert_eq!(world.upstream.asked()[0].body, asked);
    assert_eq!(world.consumed_once().await, case.reported);
}
