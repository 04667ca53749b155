//! An identity that sends requests, and what it gets back.

use axum::body::Body;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use orgplane::HttpService;
use serde_json::Value;
use tower::ServiceExt;

/// Somebody with a key, or without one.
#[derive(Clone)]
pub struct Client {
    front: HttpService,
    /// The key, as it goes into the `Authorization` header.
    pub key: Option<String>,
}

/// What a server answered.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as it came.
    pub bytes: Vec<u8>,
    /// The body as JSON; null when it is none.
    pub json: Value,
}

impl Client {
    /// Whoever has this key, or nobody.
    #[must_use]
    pub fn new(front: HttpService, key: Option<String>) -> Self {
        Self { front, key }
    }

    /// `GET /v1{path}`.
    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    /// `POST /v1{path}` with a JSON body.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, Some(body.to_string())).await
    }

    /// `DELETE /v1{path}`.
    pub async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, None).await
    }

    /// Any method with any body, which is called JSON.
    pub async fn call(&self, method: Method, path: &str, body: Option<String>) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(format!("/v1{path}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(body.map_or_else(Body::empty, Body::from))
            .expect("a request");
        self.send(request).await
    }

    /// Any request; the key is added when the request has none.
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

    /// The body of a success, as it comes.
    ///
    /// # Panics
    /// When it is none.
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
    /// The body of a success.
    ///
    /// # Panics
    /// When it was none.
    #[track_caller]
    pub fn ok(self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.json);
        self.json
    }

    /// Asserts a refusal in the contract's envelope, and gives back its `code` and `param`.
    ///
    /// # Panics
    /// When it has another status or shape.
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
