//! Prices of speech by the token: as streams report it, else by the length of the audio or of the text.

use super::*;
use crate::upstream::{Step, send};
use bytes::Bytes;
use http_body_util::BodyExt;

/// The prices of `real`, which has at most a thousand output tokens, and of `banded` by the token, and of `free` by the
/// character.
const BOOK: &str = "
[[price]]
model = 'real'
effective = '2025-01-01'
input = '0.6'
output = '12'
[[price]]
model = 'banded'
effective = '2025-01-01'
input = '0.6'
output = '12'
[[price]]
model = 'free'
effective = '2025-01-01'
character = '15'
";

async fn world(reply: Reply) -> World {
    let upstreams = |url| models(url, UpstreamBilling::default());
    World::bounded(reply, upstreams, bounds(BOOK)).await
}

/// Five seconds of MP3 at 160 kbit/s.
fn mp3() -> Reply {
    let mut audio = vec![0xff, 0xf3, 0xe4, 0xc4];
    audio.resize(100_000, 0);
    audio_of("audio/mpeg", &audio)
}

fn audio_of(kind: &str, audio: &[u8]) -> Reply {
    let pieces = audio.chunks(30_000).map(Bytes::copy_from_slice);
    let mut reply = Reply::stream(pieces.map(Step::Send).collect());
    reply.headers = vec![("content-type", kind.to_owned())];
    reply
}

/// A request for 140 bytes of text.
fn speak(model: &str, more: &str) -> String {
    let text = "hello. ".repeat(20);
    format!(r#"{{"model":"{model}","input":"{text}","voice":"alloy"{more}}}"#)
}

/// Sends a request, and returns its row of the ledger.
async fn spoken(world: &World, body: &str) -> LedgerEntry {
    let request = request(Method::POST, "/v1/audio/speech", world.service(), body);
    let response = world.gateway.handle(request).await;
    assert_eq!(response.status(), 200);
    response.into_body().collect().await.expect("a body");
    world.rows(1).await;
    world.entries().await.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn speech_without_a_report_is_estimated_by_its_length() {
    use ItemName as I;
    for (reply, more, tokens) in [
        // 5 seconds × 21 tokens.
        (mp3(), "", 105),
        (
            audio_of("audio/pcm", &[7; 240_000]),
            r#","response_format":"pcm""#,
            105,
        ),
        // 140 bytes / 14 × 21 tokens.
        (
            audio_of("audio/opus", b"OggS"),
            r#","response_format":"opus""#,
            210,
        ),
    ] {
        let world = world(reply).await;
        let row = spoken(&world, &speak("real", more)).await;
        let input = row.event.quantities.or_zero(Metric::InputTokens);
        assert!((20..=149).contains(&input), "{input}");
        assert!(row.event.estimated);
        assert_eq!(row.event.quantities.get(Metric::Characters), Some(140));
        assert_eq!(
            charges(&row),
            [
                (I::InputTokens, input, input * 600),
                (I::OutputTokens, tokens, tokens * 12_000)
            ],
            "{more}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streamed_speech_costs_what_its_last_event_reports() {
    use ItemName as I;
    let done = "data: {\"type\":\"speech.audio.done\",\"usage\":{\"input_tokens\":14,\"output_tokens\":101,\"total_tokens\":115}}\n\n";
    let delta = "data: {\"type\":\"speech.audio.delta\",\"audio\":\"AAAA\"}\n\n";
    let world = world(Reply::stream(vec![send(delta), send(done)])).await;
    let row = spoken(&world, &speak("real", r#","stream_format":"sse""#)).await;
    assert!(!row.event.estimated);
    // 14 × 0.6 and 101 × 12 millionths of a dollar.
    assert_eq!(
        charges(&row),
        [
            (I::InputTokens, 14, 8_400),
            (I::OutputTokens, 101, 1_212_000)
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn speech_that_is_sold_by_the_character_has_no_estimated_tokens() {
    let world = world(mp3()).await;
    let row = spoken(&world, &speak("free", "")).await;
    assert!(!row.event.estimated);
    assert_eq!(row.event.quantities.get(Metric::OutputTokens), None);
    // 140 × 15 millionths of a dollar.
    assert_eq!(charges(&row), [(ItemName::Characters, 140, 2_100_000)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn speech_reserves_a_second_for_each_byte_of_its_text() {
    let world = world(mp3()).await;
    world.limit_spend(Some(1)).await;
    for (model, more, most) in [
        // 140 × 21 × 12 millionths for the audio; 142 bytes of the text and 7 of the voice × 0.6.
        ("banded", "", "$0.0353694"),
        // Four times as much audio.
        ("banded", r#","speed":0.25"#, "$0.1412094"),
        // At most as many tokens as the model writes: 1,000 × 12.
        ("real", "", "$0.0120894"),
    ] {
        let body = speak(model, more);
        let request = request(Method::POST, "/v1/audio/speech", world.service(), &body);
        let refused = world.send(request).await;
        assert_eq!(refused.status, 429);
        let expected = format!("may cost up to {most}.");
        assert!(refused.body.contains(&expected), "{}", refused.body);
    }
}
