//! Prices by every unit: kinds of tokens, images, characters, seconds, calls, sessions and storage. The expected amounts are
//! worked out by hand, in nano-dollars.

use usage::{Metric, PriceBook, UsageKind};

use crate::charges::{consumed, shown};

/// Prices of every kind.
const ALL: &str = r#"
    [[price]]
    model = "sol"
    effective = "2026-01-01"
    input = "1"
    cached_input = "0.1"
    input_audio = "32"
    cached_input_audio = "0.5"
    output = "4"
    output_audio = "64"
    input_image = "8"
    cached_input_image = "2"
    output_image = "30"

    [[price]]
    model = "pictures"
    effective = "2026-01-01"
    image = { "1024x1024" = "0.04", "1792x1024" = "0.08" }

    [[price]]
    model = "voice"
    effective = "2026-01-01"
    character = "15"

    [[price]]
    model = "ear"
    effective = "2026-01-01"
    second = "0.0001"

    [[price]]
    model = "*"
    effective = "2026-01-01"
    web_search = { low = "10", medium = "25", high = "35" }
    file_search = "2.50"
    code_interpreter = { "1g" = "0.03", "4g" = "0.12" }
    storage = "0.10"
"#;

#[test]
fn tokens_of_every_kind_have_their_own_price() {
    let amounts = [
        (Metric::InputTokens, 1_000),
        (Metric::InputCachedTokens, 400),
        (Metric::InputCachedAudioTokens, 100),
        (Metric::InputCachedImageTokens, 200),
        (Metric::InputAudioTokens, 300),
        (Metric::InputImageTokens, 200),
        (Metric::OutputTokens, 600),
        (Metric::OutputAudioTokens, 100),
        (Metric::OutputImageTokens, 200),
    ];
    let event = consumed(UsageKind::Completions, "sol", &amounts);
    // Of 1,000 input tokens 400 are cached (100 audio × 0.5, 200 image × 2, 100 text × 0.1), and of the other 600 there
    // are 300 audio × 32, 200 image × 8 and 100 text × 1. Of 600 output tokens 100 are audio × 64, 200 image × 30, and
    // 300 text × 4.
    assert_eq!(
        shown(&PriceBook::parse(ALL).expect("a price book"), &event),
        [
            "sol, input_tokens 100 100000",
            "sol, input_cached_tokens 100 10000",
            "sol, input_audio_tokens 300 9600000",
            "sol, input_cached_audio_tokens 100 50000",
            "sol, input_image_tokens 200 1600000",
            "sol, input_cached_image_tokens 200 400000",
            "sol, output_tokens 300 1200000",
            "sol, output_audio_tokens 100 6400000",
            "sol, output_image_tokens 200 6000000",
        ]
    );
}

#[test]
fn images_seconds_characters_tools_containers_and_storage_have_their_own_units() {
    use UsageKind as K;
    let (book, mut lines) = (PriceBook::parse(ALL).expect("a price book"), Vec::new());
    let mut line = |kind, model, metric, amount, variant: Option<&str>| {
        let mut event = consumed(kind, model, &[(metric, amount)]);
        match kind {
            K::WebSearchCalls => event.context_level = variant.map(str::to_owned),
            _ => event.size = variant.map(str::to_owned),
        }
        lines.extend(shown(&book, &event));
    };
    line(K::Images, "pictures", Metric::Images, 3, Some("1792x1024"));
    line(K::AudioSpeeches, "voice", Metric::Characters, 2_000, None);
    line(K::AudioTranscriptions, "ear", Metric::Seconds, 61, None);
    for level in [None, Some("low"), Some("high"), Some("huge")] {
        line(K::WebSearchCalls, "sol", Metric::NumRequests, 4, level);
    }
    line(K::FileSearchCalls, "", Metric::NumRequests, 4, None);
    for size in [None, Some("4g"), Some("64g")] {
        line(K::CodeInterpreterSessions, "", Metric::NumSessions, 2, size);
    }
    line(K::VectorStores, "", Metric::UsageBytes, 3 << 29, None);
    let expected = [
        // 3 × 0.08
        "pictures, images 3 240000000",
        // 2,000 × 15 / 1,000,000
        "voice, characters 2000 30000000",
        // 61 × 0.0001
        "ear, seconds 61 6100000",
        // 4 × 25, 10 and 35 / 1,000
        "sol, web_search_calls 4 100000000",
        "sol, web_search_calls 4 40000000",
        "sol, web_search_calls 4 140000000",
        // A size without a price costs what the dearest does.
        "sol, web_search_calls 4 140000000",
        // 4 × 2.50 / 1,000
        "file_search_calls 4 10000000",
        // 2 × 0.03 and 0.12
        "code_interpreter_sessions 2 60000000",
        "code_interpreter_sessions 2 240000000",
        "code_interpreter_sessions 2 240000000",
        // 1.5 GiB × 0.10
        "vector_stores 1610612736 150000000",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn explanation_names_the_variant_that_a_price_is_for() {
    let book = PriceBook::parse(ALL).expect("a price book");
    let variant = |kind, metric, level: Option<&str>, size: Option<&str>| {
        let mut event = consumed(kind, "sol", &[(metric, 1)]);
        event.context_level = level.map(str::to_owned);
        event.size = size.map(str::to_owned);
        let price = book.explain(&event).remove(0).price.expect("a price");
        (price.variant.unwrap_or_default(), price.price.to_string())
    };
    let search = |level| variant(UsageKind::WebSearchCalls, Metric::NumRequests, level, None);
    let session = |size| {
        let kind = UsageKind::CodeInterpreterSessions;
        variant(kind, Metric::NumSessions, None, size)
    };
    let named = |variant: &str, price: &str| (variant.to_owned(), price.to_owned());
    assert_eq!(search(None), named("medium", "$25.00"));
    assert_eq!(search(Some("high")), named("high", "$35.00"));
    assert_eq!(session(None), named("1g", "$0.03"));
    assert_eq!(session(Some("4g")), named("4g", "$0.12"));
    let files = variant(UsageKind::FileSearchCalls, Metric::NumRequests, None, None);
    assert_eq!(files, named("", "$2.50"));
}
