//! Forms as programs write them, and forms that servers read in different ways.

use http::HeaderValue;
use http::header::CONTENT_TYPE;
use proptest::prelude::*;

use super::*;

const KIND: &str = "multipart/form-data; boundary=xx";

fn model(kind: &'static str, body: &str) -> Result<Option<String>> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    read_form(&headers, body.as_bytes(), &["model"])?.text("model")
}

fn part(head: &str, content: &str) -> String {
    format!("--xx\r\nContent-Disposition: {head}\r\n\r\n{content}\r\n")
}

#[test]
fn field_is_found_among_files() {
    let file = part(
        "form-data; name=\"file\"; filename=\"a; name=b.mp3\"",
        "\r\n\r\nname=\"model\"",
    );
    let other = part("form-data; filename*=utf-8''a.mp3; name=\"x\"", "");
    let field = part("form-data; name=\"model\"", "m") + &other;
    for body in [
        format!("{file}{field}--xx--\r\n"),
        format!("{field}{file}--xx--"),
    ] {
        assert_eq!(model(KIND, &body).expect(&body).as_deref(), Some("m"));
    }
    for kind in [
        "Multipart/Form-Data; charset=utf-8; Boundary=\"xx\"",
        "multipart/form-data;boundary=xx",
    ] {
        let body = format!("{field}--xx--");
        assert_eq!(model(kind, &body).expect(kind).as_deref(), Some("m"));
    }
    assert_eq!(model(KIND, &format!("{file}--xx--")).expect("parts"), None);
    assert_eq!(model(KIND, "--xx--").expect("no parts"), None);
    let many = |count| part("form-data; name=\"x\"", "").repeat(count) + "--xx--";
    assert!(model(KIND, &many(MAX_PARTS)).is_ok());
    assert!(model(KIND, &many(MAX_PARTS + 1)).is_err());
}

#[test]
fn form_that_servers_read_in_two_ways_is_refused() {
    let good = part("form-data; name=\"model\"", "m");
    let end = "--xx--\r\n";
    for (body, words) in [
        (format!("{good}{good}{end}"), "more than once"),
        (format!("hello\r\n{good}{end}"), "begin with its boundary"),
        (good.clone(), "does not end"),
        (format!("{good}--xx \r\n{end}"), "something else on it"),
        (format!("{good}{end}{good}"), "after its end"),
        (
            part("form-data; name=\"a\"", "b\n--xx\nname=\"model\"\n\nn") + end,
            "within a part",
        ),
        (part("form-data; name=\"mo\\del\"", "m") + end, "escapes"),
        (part("form-data; name*=\"model\"", "m") + end, "escapes"),
        (
            part("form-data; name=\"a\"; name=\"model\"", "m") + end,
            "escapes",
        ),
        (
            part("form-data; name=\"a\"\nx: y", "m") + end,
            "does not end",
        ),
        (
            part(
                "form-data; name=\"a\"\r\nContent-Disposition: form-data; name=\"model\"",
                "m",
            ) + end,
            "one Content-Disposition",
        ),
        (
            format!("--xx\r\nx: y\r\n\r\nm\r\n{end}"),
            "needs one Content-Disposition",
        ),
        (format!("--xx\r\nm\r\n{end}"), "no headers"),
    ] {
        let error = model(KIND, &body).expect_err(&body);
        assert_eq!(error.status, 400);
        assert!(error.message.contains(words), "{body}: {}", error.message);
    }
}

#[test]
fn multipart_unquoted_names_that_are_ambiguous_are_refused() {
    for head in [
        "form-data; name=mo\\del",
        "form-data; name=\"mo\"del\"",
        "form-data; name==?utf-8?Q?model?=",
        "form-data; name=\"a\"; name*=utf-8''model",
        "form-data; name=a; name*0=model",
        "form-data; name=\"a\"; NAME=\"model\"",
        "form-data; name=a; filename=b; filename=c",
        "attachment; name=a",
        "form-data; name=my model",
        "form-data; name= model",
        "form-data; name =model",
        "form-data; name=a, name=model",
        "form-data; name=a; x=\"1\\\"; name=model; y=\\\"2\"",
    ] {
        let body = part(head, "m") + "--xx--\r\n";
        let error = model(KIND, &body).expect_err(head);
        assert!(error.message.contains("escapes"), "{}", error.message);
    }
}

#[test]
fn content_type_without_a_boundary_is_refused() {
    let good = part("form-data; name=\"model\"", "m");
    let end = "--xx--\r\n";
    for kind in [
        "application/json",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=xx; boundary=yy",
        "multipart/mixed; boundary=xx",
    ] {
        let error = model(kind, &format!("{good}{end}")).expect_err(kind);
        assert!(error.message.contains("Content-Type"), "{kind}");
    }
}

#[test]
fn multipart_unquoted_names_are_read_as_net_writes_them() {
    for head in [
        "form-data; name=model",
        "Form-Data; Name=model ; size=1",
        "form-data;name=\"model\"",
        "form-data; size=7; name=\"model\"",
    ] {
        for body in [
            format!("{}--xx--\r\n", part(head, "m")),
            format!("\r\n{}--xx--", part(head, "m")),
        ] {
            assert_eq!(model(KIND, &body).expect(&body).as_deref(), Some("m"));
        }
    }
    let file = part(
        "form-data; name=file; filename=a.mp3; filename*=utf-8''a.mp3",
        "sound",
    );
    let typed = "--xx\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Disposition: form-data; name=model\r\n\r\nm\r\n";
    let body = format!("{file}{typed}--xx--");
    assert_eq!(model(KIND, &body).expect("parts").as_deref(), Some("m"));
}

#[test]
fn multipart_unquoted_headers_in_latin_1_are_read() {
    let mut body = b"--xx\r\nContent-Disposition: form-data; name=\"file\"; filename=\"\xe9.mp3\"\r\n\r\ns\r\n".to_vec();
    body.extend_from_slice(part("form-data; name=\"model\"", "m").as_bytes());
    body.extend_from_slice(b"--xx--\r\n");
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(KIND));
    let fields = read_form(&headers, &body, &["model"]).expect("parts");
    assert_eq!(fields.get("model"), Some(&b"m"[..]));
}

#[test]
fn s15_part_that_servers_take_for_another_is_refused() {
    let end = "--xx--\r\n";
    let model_part = part("form-data; name=\"model\"", "m");
    for head in [
        "form-data; name=\"Model\"",
        "form-data; name=\"MODEL\"",
        "form-data; name=\"model[]\"",
        "form-data; name=\" model\"",
        "form-data; name=\"Model[0]\"",
        "form-data; name=\"models\"",
        "form-data; name=\"_charset_\"",
        "form-data; name=\"_CHARSET_\"",
    ] {
        let body = format!("{model_part}{}{end}", part(head, "n"));
        let error = model(KIND, &body).expect_err(head);
        assert_eq!(error.status, 400, "{head}");
        assert!(error.param.is_some(), "{head}: {}", error.message);
    }
    for head in [
        "Content-Disposition: form-data; name=\"model\"\r\nContent-Type: text/plain; charset=utf-7",
        "Content-Disposition: form-data; name=\"model\"\r\nContent-Transfer-Encoding: quoted-printable",
        "Content-Disposition: form-data; name=\"model\"\r\n folded: x",
        "Content-Disposition : form-data; name=\"model\"",
        "Content-Disposition: form-data; name=\"x\"; filename=y\r\nContent-Type: multipart/mixed; boundary=z",
    ] {
        let body = format!("--xx\r\n{head}\r\n\r\nm\r\n{end}");
        let error = model(KIND, &body).expect_err(head);
        assert_eq!(error.code, Some("invalid_multipart"), "{head}");
    }
    let as_file = part("form-data; name=\"model\"; filename=\"m\"", "m") + end;
    let error = model(KIND, &as_file).expect_err("a file");
    assert_eq!(error.param.as_deref(), Some("model"));
}

proptest! {
    #[test]
    fn written_field_is_read_at_its_position(
        before in proptest::collection::vec(("[a-z]{1,3}", "[ -~\r\n]{0,20}"), 0..4),
        name in "[ -~]{0,20}",
        after in proptest::collection::vec(("[a-z]{1,3}", "[ -~\r\n]{0,20}"), 0..4),
    ) {
        let boundary = "--xx";
        let all = before.iter().chain(&after);
        prop_assume!(all.clone().all(|(_, content)| !content.contains(boundary)));
        prop_assume!(!name.contains(boundary));
        let part = |(name, content): &(String, String)| part(&format!("form-data; name=\"{name}\""), content);
        let written = [("model".to_owned(), name.clone())];
        let body: String = before.iter().chain(&written).chain(&after).map(part).collect();
        let body = body + "--xx--\r\n";
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(KIND));
        let fields = read_form(&headers, body.as_bytes(), &["model"]).expect("parts");
        let field = fields.get("model").expect("the field");
        prop_assert_eq!(field, name.as_bytes());
        prop_assert_eq!(&body[fields.range(field)], name);
    }
}

/// A program, and the headers that it was seen to write for a file and for a field.
const SHAPES: [(&str, &str, &str); 6] = [
    (
        "curl 7.88",
        "Content-Disposition: form-data; name=\"file\"; filename=\"a %22ü.mp3\"\r\nContent-Type: audio/mpeg",
        "Content-Disposition: form-data; name=\"model\"",
    ),
    (
        "undici, as browsers do",
        "Content-Disposition: form-data; name=\"file\"; filename=\"a %22ü.mp3\"\r\nContent-Type: audio/mpeg",
        "Content-Disposition: form-data; name=\"model\"",
    ),
    (
        ".NET",
        "Content-Type: audio/mpeg\r\nContent-Disposition: form-data; name=file; filename=a.mp3; filename*=utf-8''a.mp3",
        "Content-Type: text/plain; charset=utf-8\r\nContent-Disposition: form-data; name=model",
    ),
    (
        ".NET with names that need quotes",
        "Content-Disposition: form-data; name=file; filename=\"a b.mp3\"; filename*=utf-8''a%20b.mp3",
        "Content-Type: text/plain\r\nContent-Disposition: form-data; name=\"model\"",
    ),
    (
        "OkHttp",
        "Content-Disposition: form-data; name=\"file\"; filename=\"a.mp3\"\r\nContent-Type: audio/mpeg\r\nContent-Length: 5",
        "Content-Disposition: form-data; name=\"model\"\r\nContent-Length: 1",
    ),
    (
        "Apache HttpClient",
        "Content-Disposition: form-data; name=\"file\"; filename=\"a.mp3\"\r\nContent-Type: application/octet-stream\r\n\
         Content-Transfer-Encoding: binary",
        "Content-Disposition: form-data; name=\"model\"\r\nContent-Type: text/plain; charset=UTF-8\r\n\
         Content-Transfer-Encoding: 8bit",
    ),
];

#[test]
fn multipart_unquoted_shapes_of_programs_are_read() {
    for (program, file, field) in SHAPES {
        let body = format!("--xx\r\n{file}\r\n\r\nsound\r\n--xx\r\n{field}\r\n\r\nm\r\n--xx--\r\n");
        for kind in [KIND, "multipart/form-data; boundary=\"xx\""] {
            let found = model(kind, &body).unwrap_or_else(|error| panic!("{program}: {error}"));
            assert_eq!(found.as_deref(), Some("m"), "{program}");
        }
    }
}
