//! Calls of the API as clients make them, without a connection.

use anyhow::bail;
use axum::body::{Body, to_bytes};
use http::{Method, Request, StatusCode, header};
use serde_json::Value;
use tower::ServiceExt;

use crate::HttpService;

/// Maximum length of an answer.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// Calls the API, and returns the answer.
///
/// # Errors
/// The request is refused.
pub(super) async fn call(
    service: &HttpService,
    key: Option<&str>,
    method: Method,
    path: &str,
    body: Option<String>,
) -> anyhow::Result<Value> {
    let (status, answer) = answer(service, key, method, path, body).await?;
    if !status.is_success() {
        bail!("{path} answered {status}: {answer}");
    }
    Ok(answer)
}

/// Calls the API, and returns the status and the answer.
///
/// # Errors
/// The answer is not JSON.
pub(super) async fn answer(
    service: &HttpService,
    key: Option<&str>,
    method: Method,
    path: &str,
    body: Option<String>,
) -> anyhow::Result<(StatusCode, Value)> {
    let mut request = Request::builder()
        .method(method)
        .uri(format!("/v1{path}"))
        .header(header::CONTENT_TYPE, "application/json");
    if let Some(key) = key {
        request = request.header(header::AUTHORIZATION, format!("Bearer {key}"));
    }
    let request = request.body(Body::from(body.unwrap_or_default()))?;
    let response = service.clone().oneshot(request).await?;
    let status = response.status();
    let bytes = to_bytes(response.into_body(), MAX_ANSWER_BYTES).await?;
    Ok((status, serde_json::from_slice(&bytes)?))
}
