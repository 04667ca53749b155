//! Secrets sent in the wrong place are visible to no operator: not in the log at its most verbose level, not in
//! metrics, not in traces.

use http::StatusCode;
use reqwest::Method;
use serde_json::{Value, json};

use super::collector::Collector;
use super::upstream::Upstream;
use crate::api::{Api, http};
use crate::installation::{Installation, Server};

const UPSTREAM_KEY: &str = "the-key-that-the-upstream-wants";
const PUBLIC_HOST: &str = "localhost:1234";

/// Secrets that clients sent, each with its own words.
struct Sent(Vec<String>);

impl Sent {
    fn secret(&mut self, place: &str) -> String {
        let secret = format!("{place}-secret-{}", self.0.len());
        self.0.push(secret.clone());
        secret
    }
}

/// Sends secrets in headers, queries, paths and bodies, to every part of the server.
async fn misplace(api: &Api, sent: &mut Sent) {
    let paths = [
        (Method::POST, "/chat/completions"),
        (Method::POST, "/embeddings"),
        (Method::GET, "/models"),
        (Method::POST, "/organization/projects"),
        (Method::GET, "/organization/projects"),
        (Method::POST, "/organization/invites/accept"),
        (Method::POST, "/organization/usage/events"),
        (Method::GET, "/nowhere"),
    ];
    for (method, path) in paths {
        let query = format!("{path}?api_key={}", sent.secret("query"));
        let chat = json!({"model": "real", "messages": [{"content": sent.secret("prompt")}]});
        let failing =
            json!({"model": "real", "input": format!("please-fail {}", sent.secret("input"))});
        let strange = json!({"name": 5, "token": sent.secret("token"), sent.secret("field"): true});
        let broken = format!("{{\"model\": \"real\" {}", sent.secret("broken"));
        for (path, body) in [
            (query.as_str(), chat.to_string()),
            (path, failing.to_string()),
            (path, strange.to_string()),
            (path, broken),
        ] {
            let request = api.request(method.clone(), path).body(body);
            let request = request
                .header("content-type", "application/json")
                .header("cookie", sent.secret("cookie"))
                .header("x-api-key", sent.secret("header"))
                .header("openai-project", sent.secret("project"));
            read(request).await;
            let request = api.request(method.clone(), path);
            read(request).await;
        }
        let stranger = Api::new(api.base.trim_end_matches("/v1"), &sent.secret("key"));
        let request = stranger.request(method, &format!("{path}/{}", sent.secret("path")));
        read(request).await;
    }
}

/// Sends secrets in the forms of the sign-in, and in its addresses and cookies.
async fn misplace_in_forms(server: &Server, sent: &mut Sent) {
    let paths = [
        "/sign-in",
        "/sign-in/link",
        "/sign-in/choose",
        "/sign-in/again",
        "/invites/accept",
        "/account/password",
    ];
    for path in paths {
        let fields = [
            ("email", "owner@localhost".to_owned()),
            ("name", "Owner".to_owned()),
            ("password", sent.secret("password")),
            ("token", sent.secret("token")),
            ("ticket", sent.secret("ticket")),
        ];
        let pairs = fields.map(|(name, value)| format!("{name}={value}"));
        let address = format!("{}{path}?token={}", server.address, sent.secret("address"));
        let request = http()
            .post(address)
            .header("host", PUBLIC_HOST)
            .header("sec-fetch-site", "same-origin")
            .header("content-type", "application/x-www-form-urlencoded")
            .header(
                "cookie",
                format!("orgplane=session-{}", sent.secret("cookie")),
            );
        read(request.body(pairs.join("&"))).await;
    }
}

/// Signs the owner in with the link that the first start has printed; gives back the token of the link and that of the
/// session.
async fn sign_in(server: &Server) -> Vec<String> {
    let link = server.process.line("Sign-in link: ").expect("a link");
    let (_, token) = link.split_once('#').expect("a token");
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("a client");
    let request = client
        .post(format!("{}/sign-in/link", server.address))
        .header("host", PUBLIC_HOST)
        .header("sec-fetch-site", "same-origin")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("token={token}"));
    let answer = request.send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    let cookie = answer.headers()["set-cookie"].to_str().expect("a cookie");
    let (pair, _) = cookie.split_once(';').expect("flags");
    let (_, session) = pair.split_once('=').expect("a value");
    vec![token.to_owned(), session.to_owned()]
}

/// Sends it, and reads its answer to the end.
async fn read(request: reqwest::RequestBuilder) {
    let answer = request.send().await.expect("an answer");
    answer.bytes().await.expect("its end");
}

/// Makes secrets of our own; gives them back.
async fn make(admin: &Api, server: &Server) -> Vec<String> {
    let value = |made: &Value| made["value"].as_str().expect("a key").to_owned();
    let (_, application) = admin.application("Application").await;
    let body = json!({"name": "Second"});
    let second = admin.post("/organization/admin_api_keys", &body).await;
    let body = json!({"email": "new@acme.example", "role": "reader"});
    admin.post("/organization/invites", &body).await;
    let caller = server.api(&application);
    let prompt = "a-prompt-that-is-answered";
    let body = json!({"model": "real", "messages": [{"role": "user", "content": prompt}]});
    caller.post("/chat/completions", &body).await;
    vec![
        application,
        value(&second),
        prompt.to_owned(),
        admin.key.clone(),
    ]
}

/// A line for each request, with what is known of it.
fn assert_complete(log: &str) {
    let lines = log
        .lines()
        .filter(|line| line.contains(r#""target":"requests""#));
    let lines: Vec<Value> = lines
        .map(|line| serde_json::from_str(line).expect(line))
        .collect();
    assert!(lines.len() > 60, "{}", lines.len());
    let answered = lines
        .iter()
        .find(|line| line["outcome"] == "succeeded" && line["model"] == "real");
    let answered = answered.expect("a line of a request that went well");
    assert_eq!(
        (&answered["status"], &answered["input_tokens"]),
        (&json!(200), &json!(11))
    );
    assert!(
        answered["api_key"]
            .as_str()
            .is_some_and(|id| id.starts_with("key_"))
    );
    assert!(
        log.contains(r#""level":"TRACE""#),
        "the log is at its loudest"
    );
}

/// None of these is in the text.
fn assert_free_of(secrets: &[String], place: &str, text: &str) {
    for secret in secrets {
        // Also without its prefix, which is public.
        let random = secret.rsplit('-').next().unwrap_or(secret);
        let part = if random.len() < 20 { secret } else { random };
        let line = text.lines().find(|line| line.contains(part));
        assert_eq!(line, None, "{secret} is in the {place}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_seen_by_who_operates() {
    let (upstream, collector) = (
        Upstream::start().await,
        Collector::start(StatusCode::OK).await,
    );
    let local = upstream.setting();
    let local = local.replace("[[upstream]]", "[[upstream]]\napi_key_env = \"MODEL_KEY\"");
    let public_url = format!("public_url = 'http://{PUBLIC_HOST}'\n");
    let installation = Installation::new(&(public_url + &collector.setting() + &local));
    let mut command = installation.command(&["serve"]);
    command
        .env("RUST_LOG", "trace")
        .env("MODEL_KEY", UPSTREAM_KEY);
    let server = Server::from(command);
    let key = server.process.line("Admin key (shown only now): ");
    let admin = server.api(&key.expect("a first start prints a key"));
    let mut secrets = make(&admin, &server).await;
    let mut sent = Sent(Vec::new());
    for key in [&secrets[0], &admin.key] {
        misplace(&server.api(key), &mut sent).await;
    }
    misplace_in_forms(&server, &mut sent).await;
    secrets.extend(sign_in(&server).await);
    secrets.append(&mut sent.0);
    secrets.push(UPSTREAM_KEY.to_owned());
    let url = format!("{}/metrics", server.address);
    let metrics = http()
        .get(url)
        .send()
        .await
        .expect("an answer")
        .text()
        .await;
    let metrics = metrics.expect("text");
    let forwarded = upstream.asked();
    assert!(
        forwarded
            .iter()
            .all(|it| it["authorization"] == format!("Bearer {UPSTREAM_KEY}").as_str())
    );
    let log = server.stop().stderr;

    assert_complete(&log);
    assert!(metrics.contains("orgplane_requests_total{"));
    assert!(collector.spans().len() > 60);
    let traces = String::from_utf8_lossy(&collector.bytes()).into_owned();
    let seen = [("log", &log), ("metrics", &metrics), ("traces", &traces)];
    for (place, text) in seen {
        assert_free_of(&secrets, place, text);
    }
}
