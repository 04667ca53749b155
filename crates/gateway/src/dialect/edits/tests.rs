//! Requests before and after their `store` is disabled.

use bytes::Bytes;
use http::HeaderMap;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::dialect::{Call, Dialect};

/// Returns the body for an upstream that calls the model `real`.
fn forwarded(path: &str, body: &str, disable_store: bool) -> String {
    let dialect = Dialect::at(path).expect("an endpoint");
    let body = Bytes::copy_from_slice(body.as_bytes());
    let mut call = Call::parse(dialect, &HeaderMap::new(), body).expect("a call");
    if disable_store {
        call.disable_store();
    }
    String::from_utf8(call.body("real", true, false).to_vec()).expect("text")
}

const RESPONSES: &str = "/responses";
const CHAT: &str = "/chat/completions";

/// The endpoint, the body of a client, and the body that is forwarded when nothing may be stored.
const CASES: [(&str, &str, &str); 13] = [
    (
        RESPONSES,
        r#"{"model":"real"}"#,
        r#"{"model":"real","store":false}"#,
    ),
    (
        RESPONSES,
        r#"{"model":"m", "x":1}"#,
        r#"{"model":"real","store":false, "x":1}"#,
    ),
    (
        RESPONSES,
        r#"{"store": true ,"model":"real"}"#,
        r#"{"store": false ,"model":"real"}"#,
    ),
    (
        RESPONSES,
        r#"{"st\u006fre":null,"model":"real"}"#,
        r#"{"st\u006fre":false,"model":"real"}"#,
    ),
    (
        RESPONSES,
        r#"{"model":"real","store":false}"#,
        r#"{"model":"real","store":false}"#,
    ),
    (
        RESPONSES,
        r#"{"model":"real","store":"true"}"#,
        r#"{"model":"real","store":false}"#,
    ),
    (CHAT, r#"{"model":"real"}"#, r#"{"model":"real"}"#),
    (
        CHAT,
        r#"{"model":"real","store":null}"#,
        r#"{"model":"real","store":null}"#,
    ),
    (
        CHAT,
        r#"{"model":"real","store":true}"#,
        r#"{"model":"real","store":false}"#,
    ),
    (
        CHAT,
        r#"{"model":"real","store":1}"#,
        r#"{"model":"real","store":false}"#,
    ),
    (
        CHAT,
        r#"{"store":true,"stream":true,"model":"m"}"#,
        r#"{"store":false,"stream":true,"stream_options":{"include_usage":true},"model":"real"}"#,
    ),
    (
        CHAT,
        r#"{"model":"real","metadata":{"store":true}}"#,
        r#"{"model":"real","metadata":{"store":true}}"#,
    ),
    (
        "/completions",
        r#"{"model":"real","store":true}"#,
        r#"{"model":"real","store":true}"#,
    ),
];

#[test]
fn only_requests_that_would_be_stored_are_edited() {
    for (path, before, after) in CASES {
        assert_eq!(forwarded(path, before, true), after);
    }
    let untouched = r#"{"model":"real","store":true}"#;
    for path in [RESPONSES, CHAT] {
        assert_eq!(forwarded(path, untouched, false), untouched);
    }
}

fn space() -> impl Strategy<Value = String> {
    "[ \t\r\n]{0,2}"
}

/// A member of an object, with white space around it.
fn member(
    name: &'static str,
    value: impl Strategy<Value = String>,
) -> impl Strategy<Value = String> {
    (space(), space(), value, space())
        .prop_map(move |(a, b, value, c)| format!("{a}\"{name}\"{b}:{b}{value}{c}"))
}

/// A request whose fields are in any order and spelling.
fn requests() -> impl Strategy<Value = String> {
    let word =
        |words: &'static [&'static str]| proptest::sample::select(words).prop_map(str::to_owned);
    let anything = proptest::collection::vec(any::<char>(), 0..8).prop_map(|text| {
        json!([{"store": true, "model": text.iter().collect::<String>()}]).to_string()
    });
    let store = member(
        "store",
        word(&["true", "false", "null", "7", "\"true\"", "{\"store\":true}"]),
    );
    let model = member("model", word(&["\"real\"", "\"nick\"", "\"r\\u0065al\""]));
    let stream = member("stream", word(&["true", "false", "null"]));
    let others = proptest::collection::vec(anything, 0..3).prop_map(|values| {
        let members = values.iter().enumerate();
        members
            .map(|(number, value)| format!("\"m{number}\":{value}"))
            .collect::<Vec<_>>()
    });
    let optional = proptest::option::of;
    (model, optional(store), optional(stream), others)
        .prop_map(|(model, store, stream, mut members)| {
            members.extend([Some(model), store, stream].into_iter().flatten());
            members
        })
        .prop_shuffle()
        .prop_map(|members| format!("{{{}}}", members.join(",")))
}

proptest! {
    #[test]
    fn disabling_store_changes_no_other_field(body in requests(), path in proptest::sample::select(&["/responses", "/chat/completions"][..])) {
        let value = |disable_store| -> Value {
            let text = forwarded(path, &body, disable_store);
            serde_json::from_str(&text).expect("still JSON")
        };
        let (mut open, mut closed) = (value(false), value(true));
        let stored = |body: &Value| match &body["store"] {
            Value::Null => path == "/responses",
            store => store != false,
        };
        prop_assert!(!stored(&closed));
        if !stored(&open) {
            prop_assert_eq!(&closed, &open);
        }
        for body in [&mut open, &mut closed] {
            body.as_object_mut().expect("an object").remove("store");
        }
        prop_assert_eq!(open, closed);
    }
}
