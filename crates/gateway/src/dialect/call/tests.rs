//! Bodies as they are read, and as they are forwarded.

use super::*;

fn parse(path: &str, body: Bytes) -> Result<Call> {
    let dialect = Dialect::at(path).expect("an endpoint");
    Call::parse(dialect, &HeaderMap::new(), body)
}

fn call(body: &str) -> Result<Call> {
    let body = Bytes::copy_from_slice(body.as_bytes());
    parse("/chat/completions", body)
}

#[test]
fn body_without_edits_is_not_copied() {
    let body = Bytes::from_static(br#" { "model" : "m" , "x":[1, 2] , "stream":false}"#);
    let call = parse("/chat/completions", body.clone()).expect("a call");
    assert_eq!(call.body("m", true, false).as_ptr(), body.as_ptr());
    assert!(!call.hides_usage);
}

#[test]
fn only_the_model_and_the_stream_options_are_edited() {
    for (before, after, hides) in [
        (r#"{"model":"a"}"#, r#"{"model":"b\"c"}"#, false),
        (
            r#"{"stream" : true, "model":"a", "n": 1}"#,
            r#"{"stream" : true,"stream_options":{"include_usage":true}, "model":"b\"c", "n": 1}"#,
            true,
        ),
        (
            r#"{"model":"\u0061","stream":true,"stream_options":null}"#,
            r#"{"model":"b\"c","stream":true,"stream_options":{"include_usage":true}}"#,
            true,
        ),
        (
            r#"{"stream_options":{ },"stream":true,"model":"a"}"#,
            r#"{"stream_options":{"include_usage":true },"stream":true,"model":"b\"c"}"#,
            true,
        ),
        (
            r#"{"model":"a","stream":true,"stream_options":{"x":1}}"#,
            r#"{"model":"b\"c","stream":true,"stream_options":{"include_usage":true,"x":1}}"#,
            true,
        ),
        (
            r#"{"model":"a","stream":true,"stream_options":{"x":1,"include_usage": false}}"#,
            r#"{"model":"b\"c","stream":true,"stream_options":{"x":1,"include_usage": true}}"#,
            true,
        ),
        (
            r#"{"model":"a","stream":true,"stream_options":{"include_usage":true}}"#,
            r#"{"model":"b\"c","stream":true,"stream_options":{"include_usage":true}}"#,
            false,
        ),
    ] {
        let call = call(before).expect(before);
        assert_eq!(call.body("b\"c", true, false), after);
        assert_eq!(call.hides_usage, hides, "{before}");
        assert_eq!(call.can_ask_for_usage(), hides, "{before}");
        let unasked = call.body("a", false, false);
        assert_eq!(unasked, before, "as the client wrote it");
    }
}

#[test]
fn error_names_the_field_and_the_problem() {
    for (body, param, words) in [
        ("", None, "begin with '{'"),
        (r#"["m"]"#, None, "begin with '{'"),
        ("{", None, "line 1 column 1"),
        (r#"{"model":"m"} x"#, None, "trailing characters"),
        ("{}", Some("model"), "missing"),
        (r#"{"model":null}"#, Some("model"), "missing"),
        (r#"{"model":5}"#, Some("model"), "must be a string"),
        (
            r#"{"model":"m","mod\u0065l":"n"}"#,
            Some("model"),
            "more than once",
        ),
        (
            r#"{"model":"m","stream":"yes"}"#,
            Some("stream"),
            "true or false",
        ),
        (
            r#"{"model":"m","stream":true,"stream_options":[true]}"#,
            Some("stream_options"),
            "must be an object",
        ),
        (
            r#"{"model":"m","stream":true,"stream_options":{"include_usage":1}}"#,
            Some("stream_options.include_usage"),
            "true or false",
        ),
        (
            r#"{"model":"m","stream":true,"stream_options":{"include_usage":true,"include_usage":true}}"#,
            Some("stream_options.include_usage"),
            "more than once",
        ),
    ] {
        let error = call(body).err().expect(body);
        assert_eq!(error.status, 400, "{body}");
        assert_eq!(error.param.as_deref(), param, "{body}");
        assert!(error.message.contains(words), "{body}: {}", error.message);
    }
    let error = parse(
        "/chat/completions",
        Bytes::from_static(b"{\"model\":\"\xff\"}"),
    )
    .err();
    assert!(error.is_some_and(|error| error.message.contains("at byte 10")));
}

#[test]
fn default_model_is_written_into_the_body() {
    for (before, after) in [
        ("{}", r#"{"model":"omni-moderation-latest"}"#),
        (
            r#" { "input":"a"}"#,
            r#" {"model":"omni-moderation-latest", "input":"a"}"#,
        ),
        (
            r#"{"input":"a","model":null}"#,
            r#"{"input":"a","model":"omni-moderation-latest"}"#,
        ),
        (
            r#"{"model":"omni-moderation-latest"}"#,
            r#"{"model":"omni-moderation-latest"}"#,
        ),
    ] {
        let body = Bytes::copy_from_slice(before.as_bytes());
        let call = parse("/moderations", body).expect(before);
        assert_eq!(call.model, "omni-moderation-latest");
        assert_eq!(call.body("omni-moderation-latest", true, false), after);
    }
}
