//! The whole import, from a map to the files.

use super::book::BookFile;
use super::facts::FactsFile;
use super::public_map::PublicMap;
use super::review;

const DATE: &str = "2026-11-30";

const BOOK: &str = r#"# Written by a person.
#
# Source: an older map

[[price]]
model = "*"
effective = "2024-01-01"
web_search = "10.00"
file_search = "2.50"

[[price]]
model = "gpt-5"
effective = "2025-08-07"
input = "1.25"
cached_input = "0.125"
output = "10.00"
batch = "0.5"
service_tier = { priority = "2.0", flex = "0.5" }

[[price]]
model = "gpt-4o-mini"
effective = "2024-07-18"
input = "0.15"
output = "0.60"
file_search = "9.00"
batch = "0.5"

[[price]]
model = "dall-e-2"
effective = "2022-11-03"
image = { "256x256" = "0.016", "512x512" = "0.018" }
"#;

/// Returns the book after the import of `map`.
fn imported(book: &str, map: &str) -> String {
    let map = PublicMap::parse(map).expect("a map");
    let mut book = BookFile::parse(book).expect("a book");
    book.update(map.models.values(), DATE).expect("an update");
    book.write("a newer map, 2026-11-30.")
}

/// Returns the entries for a model as they are written.
fn entries<'a>(book: &'a str, model: &str) -> Vec<&'a str> {
    let named = format!("model = \"{model}\"");
    let all = book.split("\n\n");
    let own = all.filter(|entry| entry.lines().nth(1) == Some(&named));
    own.map(str::trim_end).collect()
}

#[test]
fn prices_per_token_become_entries_with_the_fewest_factors_and_rows() {
    // gpt-5.4 as the map has it: half for batches and flex, but a cached token of a batch is rounded up, and priority
    // has no price for long requests.
    let map = r#"{"gpt-5.4": {"mode": "chat", "litellm_provider": "openai",
        "input_cost_per_token": 2.5e-06, "cache_read_input_token_cost": 2.5e-07, "output_cost_per_token": "0.000015",
        "input_cost_per_token_batches": 1.25e-06, "cache_read_input_token_cost_batches": 1.3e-07,
        "output_cost_per_token_batches": 7.5e-06,
        "input_cost_per_token_priority": 5e-06, "cache_read_input_token_cost_priority": 5e-07,
        "output_cost_per_token_priority": 3e-05,
        "input_cost_per_token_above_272k_tokens": 5e-06, "cache_read_input_token_cost_above_272k_tokens": 5e-07,
        "output_cost_per_token_above_272k_tokens": 2.25e-05,
        "input_cost_per_token_above_272k_tokens_batches": 2.5e-06,
        "cache_read_input_token_cost_above_272k_tokens_batches": 2.5e-07,
        "output_cost_per_token_above_272k_tokens_batches": 1.125e-05}}"#;
    let expected = r#"[[price]]
model = "gpt-5.4"
effective = "2024-01-01"
input = "2.5"
cached_input = "0.25"
output = "15"
batch = "0.5"
[[price.row]]
batch = true
cached_input = "0.13"
[[price.row]]
service_tier = "priority"
input = "5"
cached_input = "0.5"
output = "30"
[[price.row]]
above_input_tokens = 272000
input = "5"
cached_input = "0.5"
output = "22.5""#;
    assert_eq!(entries(&imported(BOOK, map), "gpt-5.4"), [expected]);
}

#[test]
fn tiers_with_every_length_are_factors_and_decisions_are_rows() {
    let map = r#"{"gpt-6-luna": {"mode": "chat",
        "input_cost_per_token": "0.0000001", "output_cost_per_token": "0.0000005",
        "cache_creation_input_token_cost": "0.000000125", "cache_creation_input_token_cost_above_12hr": "0.00000025",
        "input_cost_per_token_above_272k_tokens": "0.0000002", "output_cost_per_token_above_272k_tokens": "0.00000075",
        "input_cost_per_token_ultrafast": "0.0000006", "output_cost_per_token_ultrafast": "0.000003",
        "input_cost_per_token_above_272k_tokens_ultrafast": "0.0000012",
        "output_cost_per_token_above_272k_tokens_ultrafast": "0.0000045",
        "input_cost_per_token_decisions": "0.0000001", "output_cost_per_token_decisions": "0",
        "input_cost_per_token_above_272k_tokens_decisions": "0.0000002",
        "output_cost_per_token_above_272k_tokens_decisions": "0"}}"#;
    let expected = r#"[[price]]
model = "gpt-6-luna"
effective = "2024-01-01"
input = "0.1"
cache_write = "0.125"
cache_write_12h = "0.25"
output = "0.5"
service_tier = { ultrafast = "6" }
[[price.row]]
above_input_tokens = 272000
input = "0.2"
output = "0.75"
[[price.row]]
endpoint = "decisions"
output = "0"
[[price.row]]
endpoint = "decisions"
above_input_tokens = 272000
output = "0""#;
    assert_eq!(entries(&imported(BOOK, map), "gpt-6-luna"), [expected]);
}

#[test]
fn known_prices_stay_and_a_changed_price_applies_from_the_date_of_the_import() {
    let map = r#"{"models": {
        "gpt-5": {"mode": "chat", "input_cost_per_token": 1.25e-06, "cache_read_input_token_cost": 1.25e-07,
            "output_cost_per_token": 1e-05, "output_cost_per_token_batches": 5e-06,
            "output_cost_per_token_flex": 5e-06, "output_cost_per_token_priority": 2e-05,
            "search_context_cost_per_query": {"search_context_size_low": 0.01, "search_context_size_high": 0.01}},
        "gpt-5-2025-08-07": {"mode": "chat", "input_cost_per_token": 1.25e-06},
        "gpt-4o-mini": {"mode": "chat", "input_cost_per_token": 1.5e-07, "output_cost_per_token": 5e-07,
            "search_context_cost_per_query": {"search_context_size_low": 0.025}},
        "gpt-4o-mini-2024-07-18": {"mode": "chat", "input_cost_per_token": 1.5e-07, "output_cost_per_token": 6e-07},
        "gpt-7-2026-12-24": {"mode": "chat", "input_cost_per_token": 1e-06}
    }}"#;
    let book = imported(BOOK, map);
    let old = BookFile::parse(BOOK).expect("a book").write("");
    for model in ["gpt-5", "*", "dall-e-2"] {
        assert_eq!(entries(&book, model), entries(&old, model), "unchanged");
    }
    assert!(entries(&book, "gpt-5-2025-08-07").is_empty(), "as gpt-5");
    let [new, kept] = entries(&book, "gpt-4o-mini")[..] else {
        panic!("two entries: {book}");
    };
    assert_eq!([kept], entries(&old, "gpt-4o-mini")[..]);
    let expected = r#"[[price]]
model = "gpt-4o-mini"
effective = "2026-11-30"
input = "0.15"
output = "0.5"
web_search = "25"
file_search = "9"
batch = "0.5""#;
    assert_eq!(new, expected, "what the map is silent about stays");
    let snapshot = entries(&book, "gpt-4o-mini-2024-07-18");
    let [snapshot] = snapshot[..] else {
        panic!("one entry: {book}");
    };
    assert!(snapshot.contains("effective = \"2026-11-30\"\ninput = \"0.15\"\noutput = \"0.6\""));
    let dated = entries(&book, "gpt-7-2026-12-24");
    assert!(dated[0].contains("effective = \"2026-12-24\""), "{dated:?}");
}

#[test]
fn a_second_import_changes_nothing_and_an_older_one_is_refused() {
    let map = r#"{"gpt-5": {"mode": "chat", "input_cost_per_token": 1e-06, "output_cost_per_token": 1e-05},
        "a": {"mode": "chat", "input_cost_per_token": 1.5e-06, "input_cost_per_token_flex": 1e-06}}"#;
    let once = imported(BOOK, map);
    assert_eq!(imported(&once, map), once);
    assert!(once.starts_with(
        "# Written by a person.\n#\n# Source: a newer map, 2026-11-30.\n\n[[price]]\n"
    ));
    let mut book = BookFile::parse(&once).expect("a book");
    let dearer = map.replace("1e-06", "2e-06");
    let map = PublicMap::parse(&dearer).expect("a map");
    let refused = book.update(map.models.values(), "2026-11-29");
    assert!(refused.is_err());
}

#[test]
fn each_kind_of_model_has_the_prices_of_what_it_sells() {
    let map = r#"{
        "tts": {"mode": "audio_speech", "input_cost_per_token": 6e-07, "output_cost_per_token": 1e-05,
            "output_cost_per_audio_token": 1.2e-05, "output_cost_per_second": 0.00025},
        "whisper": {"mode": "audio_transcription", "input_cost_per_second": 0.0001, "output_cost_per_second": 0.0001},
        "image": {"mode": "image_generation", "input_cost_per_token": 5e-06, "input_cost_per_image_token": 8e-06,
            "cache_read_input_image_token_cost": 2e-06, "output_cost_per_image_token": 3e-05},
        "letters": {"mode": "audio_speech", "input_cost_per_character": 1.5e-05},
        "sora": {"mode": "video_generation", "output_cost_per_video_per_second": 0.1},
        "vectors": {"mode": "embedding", "input_cost_per_token": 1e-06, "output_cost_per_token": 0,
            "output_cost_per_token_batches": 0},
        "tuned": {"mode": "chat", "input_cost_per_token": 3.75e-06, "output_cost_per_token": 1.5e-05,
            "input_cost_per_token_batches": 2.225e-06, "output_cost_per_token_batches": 1.25e-05},
        "claude": {"mode": "chat", "litellm_provider": "anthropic", "input_cost_per_token": 1e-06}
    }"#;
    let book = imported("", map);
    let prices = |model: &str| {
        let entries = entries(&book, model);
        let lines = entries.iter().flat_map(|entry| entry.lines().skip(3));
        lines.collect::<Vec<_>>().join("; ")
    };
    for (model, expected) in [
        (
            "tts",
            r#"input = "0.6"; output = "12"; output_audio = "12""#,
        ),
        ("whisper", r#"second = "0.0001""#),
        (
            "image",
            r#"input = "5"; output = "30"; input_image = "8"; cached_input_image = "2"; output_image = "30""#,
        ),
        ("letters", r#"character = "15""#),
        ("vectors", r#"input = "1""#),
        (
            "tuned",
            r#"input = "3.75"; output = "15"; [[price.row]]; batch = true; input = "2.225"; output = "12.5""#,
        ),
        ("sora", ""),
        ("claude", ""),
    ] {
        assert_eq!(prices(model), expected, "{model}");
    }
}

#[test]
fn facts_grow_with_the_map_and_keep_what_people_wrote() {
    let facts = r#"# Facts.

[[model]]
name = "gpt-5"
context_window = 400000
max_output_tokens = 128000
max_image_tokens = 10000
input_modalities = ["text", "image"]
"#;
    let map = r#"{
        "gpt-5": {"mode": "chat", "input_cost_per_token": 1e-06, "max_input_tokens": 272000,
            "max_output_tokens": 128000},
        "gpt-5-2025-08-07": {"mode": "chat", "input_cost_per_token": 1e-06, "max_input_tokens": "272000",
            "max_output_tokens": 128000},
        "gpt-4o": {"mode": "chat", "input_cost_per_token": 1e-06, "max_input_tokens": 128000,
            "max_output_tokens": 16384, "supports_vision": true},
        "gpt-audio": {"mode": "chat", "input_cost_per_token": 1e-06, "input_cost_per_audio_token": 1e-06,
            "output_cost_per_audio_token": 1e-06},
        "gpt-live": {"mode": "realtime", "input_cost_per_second": 1e-06, "max_output_tokens": 0}
    }"#;
    let map = PublicMap::parse(map).expect("a map");
    let mut file = FactsFile::parse(facts).expect("facts");
    file.update(map.models.values());
    let expected = r#"# Facts.
#
# Source: a map

[[model]]
name = "gpt-4o"
kind = "chat"
context_window = 128000
max_output_tokens = 16384
input_modalities = ["text", "image"]
output_modalities = ["text"]

[[model]]
name = "gpt-5"
kind = "chat"
context_window = 400000
max_output_tokens = 128000
max_image_tokens = 10000
input_modalities = ["text", "image"]
output_modalities = ["text"]

[[model]]
name = "gpt-audio"
kind = "chat"
input_modalities = ["text", "audio"]
output_modalities = ["text", "audio"]
"#;
    assert_eq!(file.write("a map"), expected);
}

#[test]
fn unusual_ratios_and_unknown_prices_are_listed() {
    let map = r#"{"m": {"mode": "chat", "input_cost_per_token": 1e-06, "output_cost_per_token": 1e-05,
        "input_cost_per_token_batches": 6e-07, "output_cost_per_token_batches": 5e-06,
        "input_cost_per_token_priority": 9e-07, "input_cost_per_token_above_272k_tokens": 3e-06,
        "output_cost_per_token_above_272k_tokens": 1.5e-05, "input_cost_per_pixel": 1}}"#;
    let map = PublicMap::parse(map).expect("a map");
    assert_eq!(map.notes, ["m: input_cost_per_pixel is not read"]);
    assert_eq!(
        review::odd_prices(&map),
        [
            "m: input is 0.6 where batch = true, 1 otherwise",
            "m: input is 0.9 where service_tier = \"priority\", 1 otherwise",
            "m: input is 3 where above_input_tokens = 272000, 1 otherwise",
        ]
    );
}

#[test]
fn a_cache_write_below_the_input_is_left_out() {
    let map = r#"{"m": {"mode": "chat", "input_cost_per_token": 3.75e-06,
        "cache_creation_input_token_cost": 1.875e-06}}"#;
    assert!(!imported("", map).contains("cache_write"));
    let map = PublicMap::parse(map).expect("a map");
    assert_eq!(
        map.notes,
        ["m: cache_write 1.875 is below the input, and left out"]
    );
}

#[test]
fn a_map_that_is_no_map_is_refused() {
    for text in [
        "",
        "[]",
        "{}",
        r#"{"m": 1}"#,
        r#"{"m": {"mode": "chat", "input_cost_per_token": "x"}}"#,
    ] {
        assert!(PublicMap::parse(text).is_err(), "{text}");
    }
}
