//! Alterations of requests: of their JSON, its text, queries, paths, methods and headers.

use serde_json::{Map, Value, json};

use super::parts;
use super::routes::{Content, Draft};
use crate::dice::Dice;

/// Values in the place of others.
fn odd_value(dice: &Dice) -> Value {
    let deep = |levels: u64| (0..levels).fold(json!(1), |inner, _| json!([inner]));
    match dice.below(26) {
        0 => Value::Null,
        1 => json!(true),
        2 => json!(-1),
        3 => json!(0),
        4 => json!(i64::MAX),
        5 => json!(u64::MAX),
        6 => json!(9_007_199_254_740_993_i64),
        7 => json!(1e308),
        8 => json!(-0.5),
        9 => json!(5.0),
        10 => json!(""),
        11 => json!("\0"),
        12 => json!("file-\0rec1x"),
        13 => json!("a\u{202e}b\u{feff}\u{fffd}"),
        14 => json!("x".repeat(dice.below(70_000) as usize)),
        15 => json!("'; DROP TABLE projects; --"),
        16 => json!("9".repeat(400)),
        17 => json!("2026-02-30T25:61:61Z"),
        18 => json!([]),
        19 => json!({}),
        20 => json!(["\0", "\0"]),
        21 => json!({"\0": "\0", "type": "mcp"}),
        22 => deep(dice.below(130)),
        23 => json!(vec![json!("a"); dice.below(1_200) as usize]),
        24 => json!([null, 1, {"id": "\u{0}"}]),
        _ => json!("user_\u{0}"),
    }
}

/// A random place in the value.
fn place<'v>(value: &'v mut Value, dice: &Dice) -> &'v mut Value {
    let length = match &*value {
        Value::Array(items) => items.len() as u64,
        Value::Object(members) => members.len() as u64,
        _ => 0,
    };
    if length == 0 || dice.one_in(3) {
        return value;
    }
    let at = dice.below(length) as usize;
    let inner = match value {
        Value::Array(items) => items.get_mut(at),
        Value::Object(members) => members.values_mut().nth(at),
        _ => None,
    };
    place(inner.expect("something at a place within it"), dice)
}

/// Replaces, removes, adds or wraps something at a random place.
fn alter_json(value: &mut Value, dice: &Dice) {
    match (dice.below(6), place(value, dice)) {
        (0, Value::Object(members)) if !members.is_empty() => {
            let at = dice.below(members.len() as u64) as usize;
            let name = members.keys().nth(at).cloned().unwrap_or_default();
            members.remove(&name);
        }
        (1, Value::Object(members)) => {
            let names = [
                "id",
                "\0",
                "Model",
                "tools",
                "file_id",
                "vector_store_ids",
                "metadata",
            ];
            members.insert((*dice.pick(&names)).to_owned(), odd_value(dice));
        }
        (2, place) => *place = json!([place.take()]),
        (3, place) => {
            let mut members = Map::new();
            members.insert("id".to_owned(), place.take());
            *place = Value::Object(members);
        }
        (_, place) => *place = odd_value(dice),
    }
}

/// Pieces that are put into the text of JSON, at any place.
const SPLINTERS: [&[u8]; 18] = [
    b"1e999",
    b"\"\\ud800\"",
    b"\"\\u0000\"",
    b"NaN",
    b"\xef\xbb\xbf",
    b"\xff",
    b"\0",
    b"\"model\":\"cheap\",",
    b"\"Model\":\"dear\",",
    b"\"\\u006dodel\":1,",
    b"/* */",
    b"{",
    b"[",
    b"}",
    b"\"",
    b",",
    b"-",
    b"00",
];

fn alter_text(text: &mut Vec<u8>, dice: &Dice) {
    let at = dice.below(text.len() as u64 + 1) as usize;
    match dice.below(7) {
        0 => text.truncate(at),
        1 if at < text.len() => text[at] ^= 1 << dice.below(8),
        2 => {
            let levels = 1 + dice.below(3_000) as usize;
            let nested = [b"[".repeat(levels), b"]".repeat(levels)].concat();
            text.splice(at..at, nested);
        }
        3 => {
            let copied: Vec<u8> = text[at..].to_vec();
            text.extend(copied);
        }
        4 => *text = text.iter().flat_map(|byte| [*byte, 0]).collect(),
        _ => {
            let splinter = *dice.pick(&SPLINTERS);
            text.splice(at..at, splinter.iter().copied());
        }
    }
}

const QUERY_VALUES: [&str; 16] = [
    "",
    "%00",
    "%ff%fe",
    "-1",
    "0",
    "1e9",
    "99999999999999999999",
    "null",
    "true",
    "a%2Cb",
    "%F0%9F%92%A9",
    "%",
    "%zz",
    "[]",
    "1970-01-01",
    "%27%20OR%201%3D1",
];
const QUERY_NAMES: [&str; 14] = [
    "limit",
    "after",
    "before",
    "order",
    "model",
    "group_by[]",
    "project_ids[]",
    "event_types[]",
    "effective_at[gte]",
    "effective_at[gt][lt]",
    "bucket_width",
    "page",
    "%00",
    "format",
];

fn alter_query(draft: &mut Draft, dice: &Dice) {
    let length = draft.query.len() as u64;
    if length > 0 && dice.one_in(2) {
        let at = dice.below(length) as usize;
        match dice.below(4) {
            0 => drop(draft.query.remove(at)),
            1 => draft.query.push(draft.query[at].clone()),
            2 => draft.query[at].0.push_str("[]"),
            _ => (*dice.pick(&QUERY_VALUES)).clone_into(&mut draft.query[at].1),
        }
        return;
    }
    let value = match dice.below(12) {
        0 => "9".repeat(dice.below(3_000) as usize),
        _ => (*dice.pick(&QUERY_VALUES)).to_owned(),
    };
    draft
        .query
        .push(((*dice.pick(&QUERY_NAMES)).to_owned(), value));
}

const SEGMENTS: [&str; 16] = [
    "", ".", "..", "%2e%2e", "%2f", "%00", "%ff", "%", "a%2Fb", "null", "0", "-", "*", "{id}",
    "PROJECTS", "%C4%B1",
];

fn alter_path(draft: &mut Draft, dice: &Dice) {
    let mut segments: Vec<String> = draft.path.split('/').map(str::to_owned).collect();
    let at = 1 + dice.below(segments.len() as u64 - 1) as usize;
    let odd = match dice.below(10) {
        0 => "a".repeat(dice.below(5_000) as usize),
        1 => "user_%00".to_owned(),
        _ => (*dice.pick(&SEGMENTS)).to_owned(),
    };
    match dice.below(5) {
        0 => segments.insert(at, odd),
        1 if segments.len() > 2 => drop(segments.remove(at)),
        2 => segments.push(odd),
        _ => segments[at] = odd,
    }
    draft.path = segments.join("/");
}

/// Not `DELETE`, which has routes of its own: what the requests stand on would be gone before long.
const METHODS: [&str; 11] = [
    "GET", "POST", "PUT", "PATCH", "HEAD", "OPTIONS", "TRACE", "get", "BREW", "PROPFIND", "QUERY",
];

const HEADERS: [(&str, &str); 24] = [
    ("content-type", ""),
    ("content-type", "text/plain"),
    ("content-type", "application/json; charset=utf-16"),
    ("content-type", "application/x-www-form-urlencoded"),
    ("content-type", "multipart/form-data"),
    ("content-type", "multipart/form-data; boundary=\"\\\""),
    ("content-encoding", "gzip"),
    ("accept", "text/event-stream;q=9"),
    ("accept-encoding", "br, zstd"),
    ("openai-organization", "org-none"),
    ("openai-project", "proj_\u{e9}"),
    ("idempotency-key", "k"),
    (
        "traceparent",
        "00-00000000000000000000000000000000-0000000000000000-ff",
    ),
    ("tracestate", "=,=,="),
    ("expect", "100-continue"),
    ("range", "bytes=0-"),
    ("if-none-match", "*"),
    ("if-modified-since", "Thu, 01 Jan 1970 00:00:00 GMT"),
    ("x-forwarded-for", "::1, 999.9.9.9,"),
    ("forwarded", "for=\"[\""),
    ("client-cert", ":AAAA:"),
    ("origin", "null"),
    ("x-client-request-id", "\u{fe}"),
    ("cookie", "a=b"),
];

/// Alters the request in one way. What carries its key stays as it is.
pub(super) fn alter(draft: &mut Draft, dice: &Dice) {
    match (dice.below(10), &mut draft.content) {
        (0, _) => alter_query(draft, dice),
        (1, _) => alter_path(draft, dice),
        (2, _) => draft.method = (*dice.pick(&METHODS)).to_owned(),
        (3, _) => {
            let (name, value) = *dice.pick(&HEADERS);
            let value = match dice.one_in(20) {
                true => "v".repeat(dice.below(9_000) as usize),
                false => value.to_owned(),
            };
            draft.headers.push((name.to_owned(), value.into_bytes()));
        }
        (_, Content::Json(value)) => alter_json(value, dice),
        (_, Content::Parts(parts)) => parts::alter(parts, dice),
        (4, Content::Nothing) => draft.content = Content::Json(odd_value(dice)),
        (_, Content::Nothing) => alter_query(draft, dice),
    }
}

/// The bytes of the request, whose text is altered now and then.
pub(super) fn written(draft: &Draft, key: Option<&str>, dice: &Dice) -> Vec<u8> {
    let (kind, mut body) = match &draft.content {
        Content::Nothing => (None, Vec::new()),
        Content::Json(value) => {
            let kind = "application/json".to_owned();
            (Some(kind), serde_json::to_vec(value).unwrap_or_default())
        }
        Content::Parts(parts) => {
            let (kind, body) = parts::written(parts, dice);
            (Some(kind), body)
        }
    };
    if kind.is_some() && dice.one_in(5) {
        alter_text(&mut body, dice);
    }
    let query: Vec<String> = draft
        .query
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let mark = if query.is_empty() { "" } else { "?" };
    let (method, path, query) = (&draft.method, &draft.path, query.join("&"));
    let mut bytes = format!("{method} {path}{mark}{query} HTTP/1.1\r\nhost: x\r\n").into_bytes();
    let mut header = |name: &str, value: &[u8]| {
        bytes.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
    };
    if let Some(key) = key {
        header("authorization", format!("Bearer {key}").as_bytes());
    }
    let sets_type = draft.headers.iter().any(|(name, _)| name == "content-type");
    if let Some(kind) = kind.filter(|_| !sets_type || dice.one_in(8)) {
        header("content-type", kind.as_bytes());
    }
    for (name, value) in &draft.headers {
        header(name, value);
    }
    if dice.one_in(10) {
        header("transfer-encoding", b"chunked");
        let size = format!("\r\n{:x}\r\n", body.len());
        let end: &[u8] = if body.is_empty() {
            b"\r\n"
        } else {
            b"\r\n0\r\n\r\n"
        };
        bytes.extend([size.as_bytes(), &body, end].concat());
    } else {
        header("content-length", body.len().to_string().as_bytes());
        bytes.extend([b"\r\n", body.as_slice()].concat());
    }
    bytes
}
