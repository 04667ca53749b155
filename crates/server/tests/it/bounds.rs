//! Hostile HTTP: bounded, refused or cut off, never an error of ours and never for ever.

use std::time::Duration;

use poll::ScenarioDelay;

use crate::connection::{Answer, Connection};
use crate::dice::Dice;
use crate::installation::{Installation, Server};

const MIB_BYTES: usize = 1024 * 1024;
/// Time between two pieces that a slow client sends: long enough for an answer to the first one.
const PIECE_INTERVAL: Duration = Duration::from_millis(50);
/// Maximum time for the head of a request, and for its body, in seconds.
const HEAD_SECONDS: u64 = 30;

/// Sends bytes that need no more, and reads what the server says.
#[track_caller]
fn exchange(server: &Server, bytes: &[u8]) -> Answer {
    let mut connection = Connection::to(&server.address);
    connection.send(bytes);
    connection.answer()
}

/// The head of a POST with a key.
fn post(path: &str, key: &str, more: &str) -> Vec<u8> {
    let head = format!(
        "POST /v1{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n\
         Connection: close\r\n{more}\r\n\r\n"
    );
    head.into_bytes()
}

/// Checks that the server answers and logged no error.
fn assert_well(server: Server) {
    let answer = exchange(
        &server,
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    );
    assert_eq!(answer.status(), Some(200), "{answer:?}");
    server.stop();
}

#[test]
fn what_is_no_http_is_refused() {
    let installation = Installation::new("");
    let (server, _) = installation.first_serve();
    let long = |length| "x".repeat(length);
    let many = (0..200)
        .map(|number| format!("x-{number}: y\r\n"))
        .collect::<String>();
    let cases: Vec<(String, &[u16])> = vec![
        ("nonsense\r\n\r\n".into(), &[400]),
        ("GET\r\n\r\n".into(), &[400]),
        ("GET / HTTP/9.9\r\n\r\n".into(), &[400, 505]),
        ("G\u{e4}T / HTTP/1.1\r\nHost: x\r\n\r\n".into(), &[400]),
        ("GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n".into(), &[400]),
        (
            "GET / HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n".into(),
            &[400],
        ),
        ("GET / HTTP/1.1\r\nHost: x\r\nx: \0\r\n\r\n".into(), &[400]),
        ("GET / HTTP/1.1\r\n: y\r\n\r\n".into(), &[400]),
        ("GET http://[ HTTP/1.1\r\nHost: x\r\n\r\n".into(), &[400]),
        (
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n".into(),
            &[400],
        ),
        (
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n".into(),
            &[400],
        ),
        (
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: x, y\r\n\r\n".into(),
            &[400],
        ),
        (
            format!("GET / HTTP/1.1\r\nHost: x\r\nx: {}\r\n\r\n", long(80_000)),
            &[431],
        ),
        (format!("GET / HTTP/1.1\r\nHost: x\r\n{many}\r\n"), &[431]),
        (
            format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", long(70_000)),
            &[414, 431],
        ),
        (
            format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", long(200_000)),
            &[414, 431],
        ),
        ("\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\r\n\r\n".into(), &[400]),
    ];
    for (request, statuses) in cases {
        let shown: String = request.chars().take(60).collect();
        let answer = exchange(&server, request.as_bytes());
        let status = answer.status();
        assert!(
            status.is_some_and(|status| statuses.contains(&status)),
            "{shown:?}: {answer:?}"
        );
    }
    assert_well(server);
}

#[test]
fn odd_but_valid_requests_get_the_envelope() {
    let installation = Installation::new("");
    let (server, admin) = installation.first_serve();
    let key = &admin.key;
    let cases = [
        ("OPTIONS * HTTP/1.1", 404, "unknown_url"),
        ("CONNECT x:443 HTTP/1.1", 404, "unknown_url"),
        ("GET /v1/../../etc/passwd HTTP/1.1", 404, "unknown_url"),
        (
            "POST /v1/organization/external_keys HTTP/1.1",
            404,
            "not_offered",
        ),
        ("GET /v1/realtime?model=m HTTP/1.1", 404, "not_offered"),
        (
            "GET /v1/organization/projects/%2e%2e%2fx HTTP/1.1",
            404,
            "not_found",
        ),
        (
            "GET /v1/organization/projects/%ff%00 HTTP/1.1",
            404,
            "unknown_url",
        ),
        (
            "GET http://elsewhere.example/v1/nothing HTTP/1.1",
            404,
            "unknown_url",
        ),
        (
            "GET /v1/organization/projects?limit=%zz HTTP/1.1",
            400,
            "invalid_value",
        ),
        (
            "BREW /v1/organization/projects HTTP/1.1",
            405,
            "method_not_allowed",
        ),
        (
            "PATCH /v1/chat/completions HTTP/1.1",
            405,
            "method_not_allowed",
        ),
    ];
    for (line, status, code) in cases {
        let request = format!(
            "{line}\r\nHost: x\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n\r\n"
        );
        let answer = exchange(&server, request.as_bytes());
        assert_eq!(answer.status(), Some(status), "{line}: {answer:?}");
        assert_eq!(answer.code(), code, "{line}: {answer:?}");
    }
    assert_well(server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oversized_bodies_are_refused_in_the_envelope() {
    let installation = Installation::new("");
    let (server, admin) = installation.first_serve();
    let (_, application) = admin.application("Large").await;
    let cases = [
        ("/organization/projects", &admin.key, MIB_BYTES),
        ("/organization/usage/events", &admin.key, 32 * MIB_BYTES),
        ("/chat/completions", &application, 64 * MIB_BYTES),
    ];
    for (path, key, most) in cases {
        // Refused for what the head says, before any of it comes.
        let answer = exchange(
            &server,
            &post(path, key, &format!("Content-Length: {}", most + 1)),
        );
        assert_eq!(answer.status(), Some(413), "{path}: {answer:?}");
        assert_eq!(answer.code(), "request_too_large", "{path}");

        // Refused for what has come, when the head says nothing of it.
        let mut connection = Connection::to(&server.address);
        connection.send(&post(path, key, "Transfer-Encoding: chunked"));
        let chunk = [
            format!("{MIB_BYTES:x}\r\n").as_bytes(),
            &vec![b' '; MIB_BYTES],
            b"\r\n",
        ]
        .concat();
        let mut sent = 0;
        while sent <= most && connection.send(&chunk) {
            sent += MIB_BYTES;
        }
        let answer = connection.answer();
        assert_eq!(answer.status(), Some(413), "{path}: {answer:?}");
        assert_eq!(answer.code(), "request_too_large", "{path}");
    }
    assert_well(server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_versions_of_http_are_spoken() {
    let (one, two) = (reqwest::Version::HTTP_11, reqwest::Version::HTTP_2);
    let installation = Installation::new("");
    let (server, _) = installation.first_serve();
    for version in [one, two] {
        let builder = reqwest::Client::builder().no_proxy();
        let builder = if version == two {
            builder.http2_prior_knowledge()
        } else {
            builder
        };
        let client = builder.build().expect("a client without TLS");
        let answer = client
            .get(format!("{}/healthz", server.address))
            .send()
            .await;
        let answer = answer.expect("an answer");
        assert_eq!((answer.version(), answer.status().as_u16()), (version, 200));
    }
    assert_well(server);
}

#[test]
fn a_refusal_leaves_the_connection_usable_or_says_that_it_does_not() {
    let installation = Installation::new("");
    let (server, admin) = installation.first_serve();
    let refused = [
        ("/organization/projects", "sk-admin-wrong", 401),
        ("/organization/nothing", &admin.key, 404),
        ("/chat/completions", "sk-proj-wrong", 401),
        ("/chat/completions", &admin.key, 403),
    ];
    let next = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    for (path, key, status) in refused {
        let head = |length: usize| {
            let head = post(path, key, &format!("Content-Length: {length}"));
            String::from_utf8_lossy(&head).replace("Connection: close\r\n", "")
        };
        // The body comes after the server could have refused.
        let mut connection = Connection::to(&server.address);
        connection.send(head(10).as_bytes());
        ScenarioDelay(PIECE_INTERVAL).elapse_blocking();
        connection.send(b"{\"a\": 123}");
        ScenarioDelay(PIECE_INTERVAL).elapse_blocking();
        connection.send(next);
        let answer = connection.answer();
        assert_eq!(answer.status(), Some(status), "{path}: {answer:?}");
        assert!(
            answer.text.contains("HTTP/1.1 200 OK"),
            "{path}: {answer:?}"
        );

        // So much more would come that it is not waited for.
        let mut connection = Connection::to(&server.address);
        connection.send(head(MIB_BYTES).as_bytes());
        let answer = connection.answer();
        assert_eq!(answer.status(), Some(status), "{path}: {answer:?}");
        assert!(
            answer.text.contains("connection: close"),
            "{path}: {answer:?}"
        );
    }
    assert_well(server);
}

/// Somebody who keeps a connection open without need.
struct Dawdler<'bytes> {
    what: &'static str,
    /// First bytes that the clients send.
    first: &'bytes [u8],
    /// Bytes that the clients send each second after that.
    then: &'static [u8],
    /// The status that they get in the end, if any.
    status: Option<u16>,
}

impl Dawdler<'_> {
    /// Dawdles for nearly as long as the server allows, and then for too long.
    fn dawdle(&self, address: &str) {
        let Self {
            what,
            first,
            then,
            status,
        } = self;
        let mut connection = Connection::to(address);
        connection.send(first);
        for _ in 0..HEAD_SECONDS - 5 {
            ScenarioDelay(Duration::from_secs(1)).elapse_blocking();
            assert!(connection.send(then), "who {what} was cut off too early");
        }
        let answer = connection.answer_within(Duration::from_secs(10));
        assert_eq!(answer.status(), *status, "who {what}: {answer:?}");
        assert!(
            answer.after > Duration::from_secs(2),
            "who {what} was cut off too early"
        );
    }
}

#[test]
fn those_who_dawdle_are_cut_off() {
    const HEAD: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: x\r\n";
    let installation = Installation::new("");
    let (server, admin) = installation.first_serve();
    let whole = [HEAD, b"\r\n"].concat();
    let announced = post("/organization/projects", &admin.key, "Content-Length: 100");
    let dawdler = |what, first, then, status| Dawdler {
        what,
        first,
        then,
        status,
    };
    let dawdlers = [
        dawdler("says nothing", b"", b"", None),
        dawdler("does not show which HTTP", b"PRI * HTTP/2.0\r\n", b"", None),
        dawdler("stops in the middle of a head", HEAD, b"", None),
        dawdler("never ends a head", HEAD, b"x: y\r\n", None),
        dawdler("never sends a body", &announced, b"", Some(408)),
        dawdler("asks no more after an answer", &whole, b"", Some(200)),
    ];
    std::thread::scope(|scope| {
        for dawdler in &dawdlers {
            scope.spawn(|| dawdler.dawdle(&server.address));
        }
    });
    assert_well(server);
}

#[test]
fn no_mutation_of_a_request_is_an_error_of_ours() {
    let dice = Dice::thrown();
    let installation = Installation::new("");
    let (server, admin) = installation.first_serve();
    let body = br#"{"name": "Mutant", "external_key_id": null}"#;
    let length = format!("Content-Length: {}", body.len());
    let seeds = [
        [
            &post("/organization/projects", &admin.key, &length)[..],
            body,
        ]
        .concat(),
        [
            &post("/organization/usage/events", &admin.key, &length)[..],
            body,
        ]
        .concat(),
        [&post("/chat/completions", &admin.key, &length)[..], body].concat(),
    ];
    for _ in 0..600 {
        let mut request = seeds[dice.below(seeds.len() as u64) as usize].clone();
        for _ in 0..1 + dice.below(4) {
            mutate(&mut request, &dice);
        }
        let mut connection = Connection::to(&server.address);
        connection.send(&request);
        let answer = connection.answer_to_what_may_be_unfinished();
        let shown = String::from_utf8_lossy(&request);
        assert!(
            answer.status().is_none_or(|status| status < 500),
            "{shown}\n{answer:?}"
        );
    }
    assert_well(server);
}

/// Changes, drops, doubles or inserts something somewhere, as long as anything is left.
fn mutate(request: &mut Vec<u8>, dice: &Dice) {
    if request.is_empty() {
        return;
    }
    let place = dice.below(request.len() as u64) as usize;
    let end = (place + 1 + dice.below(16) as usize).min(request.len());
    match dice.below(5) {
        0 => request[place] = dice.below(256) as u8,
        1 => drop(request.drain(place..end)),
        2 => {
            let part = request[place..end].to_vec();
            request.splice(place..place, part);
        }
        3 => request.insert(place, b"\0\r\n:\"{}[],/%?\xff"[dice.below(14) as usize]),
        _ => request.truncate(end),
    }
}
