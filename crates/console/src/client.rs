//! The in-process client of the Administration API: every page reads and changes through it, as the visitor.

use std::sync::Arc;

use admin::Services;
use admin::operation::Caller;
use axum::body::Body;
use bytes::Bytes;
use http::{Extensions, Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use pages::Link;
use serde_json::Value as Json;

use crate::registry::Registry;

/// A refusal or failure of the Administration API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Status of the answer.
    pub status: StatusCode,
    /// Reason and remedy.
    pub message: String,
    /// Field or parameter at fault.
    pub param: Option<String>,
    /// Stable identifier of the reason.
    pub code: Option<String>,
}

impl Refusal {
    /// Returns the refusal that an error envelope describes.
    pub(crate) fn of(status: StatusCode, envelope: &Json) -> Self {
        let error = &envelope["error"];
        let text = |name: &str| error[name].as_str().map(str::to_owned);
        Self {
            status,
            message: text("message").unwrap_or_else(|| "The request failed.".to_owned()),
            param: text("param"),
            code: text("code"),
        }
    }

    /// Returns the refusal of a path that no operation serves.
    fn unserved(path: &str) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            message: format!("No operation serves {}.", base::shown(path)),
            param: None,
            code: Some("unknown_url".to_owned()),
        }
    }
}

/// A client that acts as one caller.
pub(crate) struct Client<'a> {
    pub(crate) services: &'a Arc<Services>,
    pub(crate) registry: &'a Registry,
    pub(crate) caller: &'a Caller,
    /// Extensions of the visitor's request, among them the address of the client, which audit events record.
    pub(crate) extensions: &'a Extensions,
}

impl Client<'_> {
    /// Reads `GET path?query`.
    ///
    /// # Errors
    /// The refusal of the operation.
    pub(crate) async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Json, Refusal> {
        let link = Link::to_path(path).queries(query.iter().copied());
        self.call(&Method::GET, path, &link.to_string(), None).await
    }

    /// Sends a change: `method path` with a body.
    ///
    /// # Errors
    /// The refusal of the operation.
    pub(crate) async fn send(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Json>,
    ) -> Result<Json, Refusal> {
        self.call(method, path, path, body).await
    }

    async fn call(
        &self,
        method: &Method,
        path: &str,
        address: &str,
        body: Option<&Json>,
    ) -> Result<Json, Refusal> {
        let response = self.response(method, path, address, body).await?;
        let bytes = collected(response).await?;
        serde_json::from_slice(&bytes).map_err(|_| Refusal::broken())
    }

    /// Reads `GET path?query` as it is sent.
    ///
    /// # Errors
    /// The refusal of the operation.
    pub(crate) async fn bytes(&self, path: &str, query: &[(&str, &str)]) -> Result<Bytes, Refusal> {
        let link = Link::to_path(path).queries(query.iter().copied());
        let response = self
            .response(&Method::GET, path, &link.to_string(), None)
            .await?;
        collected(response).await
    }

    /// Returns the response of an operation as it is, such as a file of usage.
    ///
    /// # Errors
    /// 404 if no operation has the path.
    pub(crate) async fn response(
        &self,
        method: &Method,
        path: &str,
        address: &str,
        body: Option<&Json>,
    ) -> Result<http::Response<Body>, Refusal> {
        let known = self.registry.matching(method, path);
        let known = known.ok_or_else(|| Refusal::unserved(path))?;
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let request = Request::builder()
            .method(method)
            .uri(format!("/v1{address}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(body);
        let mut request = request.map_err(|_| Refusal::unserved(path))?;
        *request.extensions_mut() = self.extensions.clone();
        let operation = &known.operation;
        let answer = operation.answer_as(self.services, self.caller.clone(), request);
        Ok(Box::pin(answer).await)
    }
}

/// Returns the whole body of a successful answer.
///
/// # Errors
/// The refusal that the answer is.
pub(crate) async fn collected(response: http::Response<Body>) -> Result<Bytes, Refusal> {
    let status = response.status();
    let body = response.into_body().collect().await;
    let bytes = body.map_err(|_| Refusal::broken())?.to_bytes();
    if status.is_success() {
        return Ok(bytes);
    }
    let envelope = serde_json::from_slice(&bytes).unwrap_or_default();
    Err(Refusal::of(status, &envelope))
}

impl Refusal {
    /// Returns the refusal for an answer that broke off, as when the visitor's session has ended meanwhile.
    pub(crate) fn broken() -> Self {
        Self {
            status: StatusCode::BAD_GATEWAY,
            message: "The answer broke off. Load the page again.".to_owned(),
            param: None,
            code: None,
        }
    }

    /// Returns 404: no item of a list has the id.
    pub(crate) fn not_found(noun: &str, id: &str) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            message: format!("No {noun} with the id '{}' was found.", base::shown(id)),
            param: None,
            code: Some("not_found".to_owned()),
        }
    }
}

impl From<base::Error> for Refusal {
    fn from(error: base::Error) -> Self {
        Self {
            status: error.status,
            message: error.message.into_owned(),
            param: error.param,
            code: error.code.map(str::to_owned),
        }
    }
}
