//! A provider that checks requests strictly, and whose answers a test may spoil.

use std::collections::HashMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::Listener;
use base::Clock;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::signer::{Signer, base64url};

/// Id of the client.
pub const CLIENT_ID: &str = "orgplane: ä";
/// Secret of the client, with characters that forms and headers escape.
pub const CLIENT_SECRET: &str = "a secret: +/%&=ü";
/// Address that the provider sends the browser back to.
pub const REDIRECT_URI: &str = "https://orgplane.example/sign-in/callback/fake";
/// Access token that the provider gives.
pub const ACCESS_TOKEN: &str = "an-access-token";

type Edit = Box<dyn Fn(&mut Value, &mut Value) + Send>;
type Sign = Box<dyn Fn(&Signer, &Value, &Value) -> String + Send>;

/// Answer to every request on a path.
#[derive(Clone)]
pub enum Behaviour {
    /// Never an answer.
    Hang,
    /// The head of a response, and never its end.
    HangInBody,
    /// An answer with this status and body.
    Answer(u16, String),
}

/// State that a test may change.
pub struct FakeState {
    /// Issuer that tokens and documents name.
    pub issuer: String,
    /// Keys; the last one signs, those in `published` are in the key set.
    pub signers: Vec<Signer>,
    /// Number of keys that the key set leaves out at its end.
    pub unpublished: usize,
    /// Change of the header and the claims of ID tokens.
    pub edit: Edit,
    /// Signature of ID tokens.
    pub sign: Sign,
    /// Members that replace those of the discovery document; null removes.
    pub metadata: Value,
    /// User information.
    pub user_info: Value,
    /// Members that replace those of the token response; null removes.
    pub token_response: Value,
    /// Answers of paths that do not work.
    pub behaviours: HashMap<&'static str, Behaviour>,
    /// Paths of the requests so far.
    pub requests: Vec<String>,
    codes: HashMap<String, HashMap<String, String>>,
    clock: Clock,
}

/// Provider at an address of this machine.
pub struct FakeProvider {
    pub issuer: String,
    state: Arc<Mutex<FakeState>>,
}

type Shared = Arc<Mutex<FakeState>>;

impl FakeProvider {
    /// Starts a provider.
    pub async fn start(clock: Clock) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let issuer = format!("http://{}", listener.local_addr().expect("an address"));
        Self::start_on(listener, issuer, clock)
    }

    /// Starts a provider with this issuer on a listener.
    pub fn start_on<L>(listener: L, issuer: String, clock: Clock) -> Self
    where
        L: Listener<Addr: std::fmt::Debug>,
    {
        let state = FakeState {
            issuer: issuer.clone(),
            signers: vec![Signer::p256("first")],
            unpublished: 0,
            edit: Box::new(|_, _| {}),
            sign: Box::new(|signer, header, claims| signer.token(header, claims)),
            metadata: json!({}),
            user_info: json!({"sub": "subject-1", "email": "ada@example.com", "email_verified": true}),
            token_response: json!({}),
            behaviours: HashMap::new(),
            requests: Vec::new(),
            codes: HashMap::new(),
            clock,
        };
        let state = Arc::new(Mutex::new(state));
        let router = router(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { issuer, state }
    }

    /// Returns the state, to be changed.
    pub fn state(&self) -> MutexGuard<'_, FakeState> {
        self.state.lock().expect("no panic")
    }

    /// Returns a change of the claims of ID tokens.
    pub fn edit_claims(&self, edit: impl Fn(&mut Value) + Send + 'static) {
        self.state().edit = Box::new(move |_, claims| edit(claims));
    }

    /// Returns the number of requests for a path.
    pub fn count(&self, path: &str) -> usize {
        let state = self.state();
        state.requests.iter().filter(|known| *known == path).count()
    }

    /// Plays the browser at the authorization endpoint. Returns the parameters of the callback.
    pub fn authorize(&self, address: &str) -> HashMap<String, String> {
        self.authorize_for(address, REDIRECT_URI)
    }

    /// Plays the browser at the authorization endpoint for a client with this redirect address.
    pub fn authorize_for(&self, address: &str, redirect_uri: &str) -> HashMap<String, String> {
        let (endpoint, query) = address.split_once('?').expect("a query");
        assert_eq!(endpoint, format!("{}/authorize", self.issuer));
        let request = pairs(query);
        for (name, value) in [
            ("response_type", "code"),
            ("response_mode", "query"),
            ("client_id", CLIENT_ID),
            ("redirect_uri", redirect_uri),
            ("code_challenge_method", "S256"),
        ] {
            assert_eq!(request[name], value, "{name}");
        }
        assert!(request["scope"].split(' ').any(|scope| scope == "openid"));
        let state = request["state"].clone();
        assert!(state.len() >= 43 && request["nonce"].len() >= 43);
        assert_ne!(state, request["nonce"]);
        let mut all = self.state();
        let code = format!("code-{}", all.codes.len());
        all.codes.insert(code.clone(), request);
        let parameters = [
            ("code", code),
            ("state", state),
            ("iss", all.issuer.clone()),
        ];
        parameters
            .map(|(name, value)| (name.to_owned(), value))
            .into()
    }
}

fn router(state: Shared) -> Router {
    Router::new()
        .route("/.well-known/openid-configuration", get(discovery))
        .route("/keys", get(keys))
        .route("/token", post(token))
        .route("/me", get(user_info))
        .with_state(state)
}

/// Records a request; returns the answer if the path does not work.
async fn misbehave(state: &Shared, path: &'static str) -> Option<Response> {
    let behaviour = {
        let mut state = state.lock().expect("no panic");
        state.requests.push(path.to_owned());
        state.behaviours.get(path).cloned()
    };
    match behaviour? {
        Behaviour::Hang => std::future::pending().await,
        Behaviour::HangInBody => Some(axum::body::Body::new(UnfinishedBody).into_response()),
        Behaviour::Answer(status, body) => {
            let status = StatusCode::from_u16(status).expect("a status");
            Some((status, body).into_response())
        }
    }
}

/// Body that never ends.
struct UnfinishedBody;

impl http_body::Body for UnfinishedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }
}

async fn discovery(State(state): State<Shared>) -> Response {
    if let Some(answer) = misbehave(&state, "discovery").await {
        return answer;
    }
    let state = state.lock().expect("no panic");
    let issuer = &state.issuer;
    let mut document = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/keys"),
        "userinfo_endpoint": format!("{issuer}/me"),
        "end_session_endpoint": format!("{issuer}/end"),
        "authorization_response_iss_parameter_supported": true,
        "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
    });
    replace(&mut document, &state.metadata);
    answer(&document)
}

async fn keys(State(state): State<Shared>) -> Response {
    if let Some(answer) = misbehave(&state, "keys").await {
        return answer;
    }
    let state = state.lock().expect("no panic");
    let published = &state.signers[..state.signers.len() - state.unpublished];
    // Keys that no token is signed with are in most key sets.
    let mut keys = vec![
        json!({"kty": "RSA", "use": "enc", "kid": "for encryption", "n": "AQAB", "e": "AQAB"}),
        json!({"kty": "EC", "crv": "P-384", "kid": "other curve", "x": "AA", "y": "AA"}),
        json!({"kty": 1}),
    ];
    keys.extend(published.iter().map(Signer::public));
    answer(&json!({ "keys": keys }))
}

async fn token(State(state): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    if let Some(answer) = misbehave(&state, "token").await {
        return answer;
    }
    let form = pairs(std::str::from_utf8(&body).expect("a form"));
    let mut state = state.lock().expect("no panic");
    if !is_client(&headers, &form, &state.metadata) {
        return refusal(StatusCode::UNAUTHORIZED, "invalid_client");
    }
    assert_eq!(form["grant_type"], "authorization_code");
    let Some(request) = state.codes.remove(&form["code"]) else {
        return refusal(StatusCode::BAD_REQUEST, "invalid_grant");
    };
    let challenge = ring::digest::digest(&ring::digest::SHA256, form["code_verifier"].as_bytes());
    if base64url(challenge.as_ref()) != request["code_challenge"]
        || form["redirect_uri"] != request["redirect_uri"]
    {
        return refusal(StatusCode::BAD_REQUEST, "invalid_grant");
    }
    answer(&tokens(&state, &request))
}

/// Makes the tokens of a right request, changed as the test wants.
fn tokens(state: &FakeState, request: &HashMap<String, String>) -> Value {
    let signer = state.signers.last().expect("a key");
    let now = state.clock.now().0;
    let mut header = json!({"alg": signer.algorithm(), "kid": signer.id});
    let mut claims = json!({
        "iss": state.issuer, "sub": "subject-1", "aud": CLIENT_ID, "iat": now, "exp": now + 300,
        "nonce": request["nonce"], "auth_time": now, "sid": "session-1", "name": "Ada",
        "email": "ada@example.com", "email_verified": true,
    });
    (state.edit)(&mut header, &mut claims);
    let mut response = json!({
        "access_token": ACCESS_TOKEN, "token_type": "Bearer", "expires_in": 300,
        "id_token": (state.sign)(signer, &header, &claims),
    });
    replace(&mut response, &state.token_response);
    response
}

async fn user_info(State(state): State<Shared>, headers: HeaderMap) -> Response {
    if let Some(answer) = misbehave(&state, "me").await {
        return answer;
    }
    assert_eq!(headers["authorization"], format!("Bearer {ACCESS_TOKEN}"));
    let state = state.lock().expect("no panic");
    answer(&state.user_info)
}

/// True if the request has the client's secret where the discovery document wants it.
fn is_client(headers: &HeaderMap, form: &HashMap<String, String>, metadata: &Value) -> bool {
    let methods = &metadata["token_endpoint_auth_methods_supported"];
    let header = headers.get("authorization");
    if methods == &json!(["client_secret_post"]) {
        return header.is_none()
            && form
                .get("client_secret")
                .is_some_and(|it| it == CLIENT_SECRET);
    }
    if methods == &json!(["none"]) {
        return header.is_none() && !form.contains_key("client_secret");
    }
    let decoded = header
        .and_then(|header| header.to_str().ok()?.strip_prefix("Basic "))
        .and_then(|text| String::from_utf8(STANDARD.decode(text).ok()?).ok());
    let Some((id, secret)) = decoded.as_ref().and_then(|text| text.split_once(':')) else {
        return false;
    };
    !form.contains_key("client_secret")
        && decode(id) == CLIENT_ID
        && decode(secret) == CLIENT_SECRET
}

fn answer(document: &Value) -> Response {
    let kind = [("content-type", "application/json")];
    (kind, document.to_string()).into_response()
}

fn refusal(status: StatusCode, error: &str) -> Response {
    (status, json!({ "error": error }).to_string()).into_response()
}

fn replace(document: &mut Value, changes: &Value) {
    let members = document.as_object_mut().expect("an object");
    for (name, value) in changes.as_object().expect("an object") {
        if value.is_null() {
            members.remove(name);
        } else {
            members.insert(name.clone(), value.clone());
        }
    }
}

/// Decodes the pairs of a form or query.
pub fn pairs(text: &str) -> HashMap<String, String> {
    let pairs = text.split('&').map(|pair| {
        let (name, value) = pair.split_once('=').expect("a pair");
        (decode(name), decode(value))
    });
    pairs.collect()
}

fn decode(text: &str) -> String {
    let decoded = percent_encoding::percent_decode_str(text).decode_utf8();
    decoded.expect("UTF-8").into_owned()
}
