//! The properties that the fuzz targets check, one for each parser of bytes that come from outside. Each has a unit test with
//! examples, so that it holds without a fuzzer too.

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};
use usage::Outcome;

use crate::answer::Answer;
use crate::certificate::PeerCertificates;
use crate::dialect::{Call, DIALECTS, Dialect, Estimate, check_json, form_type, read_form};

/// The fields that forms are read for.
const FORM_FIELDS: &[&str] = &["model", "file", "prompt"];
/// The Content-Types of answers.
const ANSWER_TYPES: [&str; 4] = [
    "text/event-stream",
    "application/json",
    "text/plain",
    "text/html",
];
/// The content codings of answers.
const ANSWER_CODINGS: [&str; 5] = ["identity", "gzip", "deflate", "br", "zstd"];

/// Reads an event stream in three chunkings. The first byte of `data` chooses the endpoint and whether events are hidden, the
/// second is the length of a chunk, and the third the number of bytes that follow and give the lengths of irregular chunks.
///
/// # Panics
/// The chunkings differ in the usage or in the forwarded bytes, or a byte is lost or added.
pub fn event_stream(data: &[u8]) {
    let [first, length, cuts, rest @ ..] = data else {
        return;
    };
    let dialect = DIALECTS[usize::from(first >> 1) % DIALECTS.len()];
    let hides_usage = first & 1 == 1;
    let (cuts, stream) = rest.split_at(usize::from(*cuts).min(rest.len()));
    let read =
        |chunks: &[&[u8]]| read_answer(dialect, &event_stream_headers(), hides_usage, chunks);
    let whole = read(&[stream]);
    let even: Vec<&[u8]> = stream.chunks(usize::from(*length).max(1)).collect();
    assert_eq!(read(&even), whole, "{}", dialect.path);
    assert_eq!(read(&chunks(stream, cuts)), whole, "{}", dialect.path);
    if !hides_usage {
        let whole = whole.expect("identity needs no decoder");
        assert_eq!(whole.forwarded, stream, "{}", dialect.path);
    }
}

/// Reads an answer of any type and coding in two chunkings. The first byte of `data` chooses the endpoint, the second the type
/// and the coding, and the third is the length of a chunk.
///
/// # Panics
/// The chunkings differ in the usage or in the forwarded bytes, if both can be decoded.
pub fn answer(data: &[u8]) {
    let [first, kind, length, body @ ..] = data else {
        return;
    };
    let dialect = DIALECTS[usize::from(*first) % DIALECTS.len()];
    let kind = usize::from(*kind);
    let content_type = ANSWER_TYPES[kind % ANSWER_TYPES.len()];
    let coding = ANSWER_CODINGS[kind / ANSWER_TYPES.len() % ANSWER_CODINGS.len()];
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
    let chunks: Vec<&[u8]> = body.chunks(usize::from(*length).max(1)).collect();
    let whole = read_answer(dialect, &headers, false, &[body]);
    let chunked = read_answer(dialect, &headers, false, &chunks);
    // A decoder may find damage before it has returned all bytes that come before.
    if let (Some(whole), Some(chunked)) = (whole, chunked) {
        assert_eq!(chunked, whole, "{} {content_type} {coding}", dialect.path);
    }
}

/// Reads a multipart form. The first line of `data` is its Content-Type.
///
/// # Panics
/// A field is no slice of the form.
pub fn multipart(data: &[u8]) {
    let (content_type, body) = first_line(data);
    let Ok(content_type) = HeaderValue::from_bytes(content_type) else {
        return;
    };
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, content_type);
    if let Ok(fields) = read_form(&headers, body, FORM_FIELDS) {
        for name in FORM_FIELDS {
            if let Some(value) = fields.get(name) {
                assert_eq!(&body[fields.range(value)], value, "{name}");
            }
        }
    }
}

/// Reads a JSON request. The first byte of `data` chooses the endpoint.
///
/// # Panics
/// A request is accepted that is not JSON, or the body for an upstream is not JSON that names the upstream's model.
pub fn request_json(data: &[u8]) {
    let Some((first, body)) = data.split_first() else {
        return;
    };
    let dialect = DIALECTS[usize::from(*first) % DIALECTS.len()];
    let sent = Bytes::copy_from_slice(body);
    let Ok(call) = Call::parse(dialect, &HeaderMap::new(), sent) else {
        return;
    };
    let is_json = |text: &[u8]| serde_json::from_slice::<serde_json::Value>(text);
    assert!(is_json(body).is_ok(), "{}", dialect.path);
    let forwarded = call.body("real", true, false);
    let forwarded = is_json(&forwarded).expect("an edited request is JSON");
    assert_eq!(forwarded["model"], "real", "{}", dialect.path);
}

/// Reads the headers `Client-Cert` and `Client-Cert-Chain`, which are the first two lines of `data`.
///
/// # Panics
/// A chain does not have as many certificates as there are items.
pub fn certificate_header(data: &[u8]) {
    let (own, rest) = first_line(data);
    let (chain, _) = first_line(rest);
    let mut headers = HeaderMap::new();
    for (name, value) in [("client-cert", own), ("client-cert-chain", chain)] {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(HeaderName::from_static(name), value);
        }
    }
    if let Some(count) = PeerCertificates::of_proxy().count(&headers) {
        let has = |name| usize::from(headers.contains_key(name));
        let items = chain.split(|byte| *byte == b',').count();
        assert_eq!(count, has("client-cert") + has("client-cert-chain") * items);
    }
}

/// Reads `data` as the Content-Type of a request.
///
/// # Panics
/// The Content-Type for upstreams is another one when it is read again.
pub fn content_type(data: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(data) else {
        return;
    };
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, value);
    let is_json = check_json(&headers).is_ok();
    if let Ok(for_upstream) = form_type(&headers) {
        assert!(!is_json, "a form is no JSON");
        headers.insert(CONTENT_TYPE, for_upstream.clone());
        assert_eq!(form_type(&headers).ok(), Some(for_upstream));
    }
}

/// An answer as it was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FuzzedAnswer {
    pub(crate) forwarded: Vec<u8>,
    /// The usage, as text.
    pub(crate) usage: String,
    outcome: Outcome,
}

/// Reads an answer in these chunks; `None` if it cannot be decoded.
pub(crate) fn read_answer(
    dialect: &'static Dialect,
    headers: &HeaderMap,
    hides_usage: bool,
    chunks: &[&[u8]],
) -> Option<FuzzedAnswer> {
    let budget = base::Budget::new(base::BudgetLimits::shared(1 << 30));
    let memory = budget.take("key", Some("project"), 0).ok();
    let mut answer = Answer::new(dialect, headers, (true, hides_usage), memory);
    let mut forwarded = Vec::new();
    for chunk in chunks {
        answer.push(Bytes::copy_from_slice(chunk));
        while let Some(piece) = answer.next().ok()? {
            forwarded.extend_from_slice(&piece);
        }
    }
    forwarded.extend_from_slice(&answer.finish());
    let (outcome, accumulator) = answer.settle(Outcome::Succeeded);
    let usage = dialect.measure(&Estimate::default(), "m", &accumulator);
    let usage = format!(
        "{:?} {} {:?} {:?}",
        usage.quantities, usage.estimated, usage.service_tier, usage.size
    );
    Some(FuzzedAnswer {
        forwarded,
        usage,
        outcome,
    })
}

/// Returns the headers of an event stream.
pub(crate) fn event_stream_headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    let value = HeaderValue::from_static("text/event-stream");
    headers.insert(CONTENT_TYPE, value);
    headers
}

/// Cuts a stream into chunks of these lengths, and the rest.
fn chunks<'a>(mut stream: &'a [u8], lengths: &[u8]) -> Vec<&'a [u8]> {
    let mut chunks = Vec::new();
    for length in lengths {
        let (chunk, rest) = stream.split_at(usize::from(*length).min(stream.len()));
        chunks.push(chunk);
        stream = rest;
    }
    chunks.push(stream);
    chunks
}

/// Splits the bytes at the first line feed, which is in neither part.
fn first_line(data: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b'\n', data) {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, &[]),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FUZZ_TARGETS: [fn(&[u8]); 6] = [
        event_stream,
        answer,
        multipart,
        request_json,
        certificate_header,
        content_type,
    ];

    fn run_all(data: &[u8]) {
        for target in FUZZ_TARGETS {
            target(data);
        }
    }

    #[test]
    fn inputs_without_content_hold() {
        run_all(&[0, 10, 0]);
        for first in 0..24 {
            for second in 0..24 {
                for rest in [
                    &[][..],
                    &[0],
                    &[1, 0],
                    &[0, 10],
                    &[1, 31, 139],
                    &[3, 120, 156],
                ] {
                    run_all(&[&[first, second], rest].concat());
                }
            }
        }
    }

    #[test]
    fn examples_of_all_targets_hold() {
        let form = b"multipart/form-data; boundary=xx\n--xx\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n--xx--";
        multipart(form);
        for dialect in 0..11 {
            let body = br#" { "model":"m","stream":true,"input":[],"store":true}"#;
            request_json(&[&[dialect], &body[..]].concat());
        }
        certificate_header(b":YQ==:\n:Yg==:, :Yw==:");
        certificate_header(b":YQ==:");
        content_type(b"multipart/form-data; boundary=\"x x\"; charset=utf-8");
        content_type(b"application/json");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_hold(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            run_all(&data);
        }

        #[test]
        fn certificate_headers_of_any_shape_hold(
            own in "[\0\t ]?(:YQ==:|[:, ]{0,2})[\t é]?",
            chain in "[\0\t ]?(:Yg==:|[:,; \t]){0,5}",
        ) {
            certificate_header(format!("{own}\n{chain}").as_bytes());
        }

        #[test]
        fn json_like_requests_hold(first: u8, body in "\\{\"model\":\"[a-z\\\\]{0,3}\"[\\[\\]{},:\"a-z0-9. ]{0,20}\\}") {
            request_json(&[&[first], body.as_bytes()].concat());
        }
    }
}
