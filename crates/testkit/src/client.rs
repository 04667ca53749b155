//! Client of the API with or without a key, and its responses.

use std::convert::Infallible;

use axum::body::Body;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt};

/// A service that answers every request.
type Front = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// A client of the API.
#[derive(Clone)]
pub struct Client {
    front: Front,
    /// API key of the `authorization` header.
    pub key: Option<String>,
}

/// Response of the server.
#[derive(Debug)]
pub struct Answer {
    /// Status code.
    pub status: StatusCode,
    /// Response headers.
    pub headers: HeaderMap,
    /// Raw body.
    pub bytes: Vec<u8>,
    /// Body as JSON; `null` if the body is not JSON.
    pub json: Value,
}

impl Client {
    /// Creates a client of a service, with a key or without one.
    #[must_use]
    pub fn new<S>(front: S, key: Option<String>) -> Self
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
    {
        Self {
            front: Front::new(front),
            key,
        }
    }

    /// Sends `GET /v1{path}`.
    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    /// Sends `POST /v1{path}` with a JSON body.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, Some(body.to_string())).await
    }

    /// Sends `DELETE /v1{path}`.
    pub async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, None).await
    }

    /// Sends a request with any method and a body declared as JSON.
    pub async fn call(&self, method: Method, path: &str, body: Option<String>) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(format!("/v1{path}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(body.map_or_else(Body::empty, Body::from))
            .expect("a request");
        self.send(request).await
    }

    /// Sends any request; adds the key if the request has none.
    pub async fn send(&self, request: Request<Body>) -> Answer {
        let (parts, body) = self.respond(request).await.into_parts();
        let bytes = body
            .collect()
            .await
            .map(|body| body.to_bytes().to_vec())
            .unwrap_or_default();
        let json = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Answer {
            status: parts.status,
            headers: parts.headers,
            bytes,
            json,
        }
    }

    /// Returns the raw body of a successful response.
    ///
    /// # Panics
    /// The status is not a success.
    pub async fn stream(&self, request: Request<Body>) -> Body {
        let response = self.respond(request).await;
        assert_eq!(response.status(), StatusCode::OK);
        response.into_body()
    }

    async fn respond(&self, mut request: Request<Body>) -> Response<Body> {
        if let Some(key) = self
            .key
            .as_ref()
            .filter(|_| !request.headers().contains_key(header::AUTHORIZATION))
        {
            let value = format!("Bearer {key}")
                .parse()
                .expect("a key is visible ASCII");
            request.headers_mut().insert(header::AUTHORIZATION, value);
        }
        let Ok(response) = self.front.clone().oneshot(request).await;
        response
    }
}

impl Answer {
    /// Returns the JSON body of a successful response.
    ///
    /// # Panics
    /// The status is not a success.
    #[track_caller]
    pub fn ok(self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.json);
        self.json
    }

    /// Asserts an error in the envelope of the contract and returns its `code` and `param`.
    ///
    /// # Panics
    /// The response has another status or shape.
    #[must_use]
    #[track_caller]
    pub fn refused(&self, status: u16) -> (Option<&str>, Option<&str>) {
        assert_eq!(self.status.as_u16(), status, "{}", self.json);
        let error = self.json["error"].as_object().expect("the error envelope");
        let mut keys: Vec<&str> = error.keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["code", "message", "param", "type"]);
        assert!(
            error["message"]
                .as_str()
                .is_some_and(|message| message.ends_with('.')),
            "{}",
            self.json
        );
        (error["code"].as_str(), error["param"].as_str())
    }
}
