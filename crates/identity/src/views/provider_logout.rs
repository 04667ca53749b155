//! `/sign-in/logout/{id}`: back-channel logout. A provider reports that a user has signed out there, and the user's sessions
//! end here. Answers as the specification prescribes, in JSON.

use admin::sessions;
use axum::body::Body;
use http::{HeaderValue, Response, StatusCode, header};
use openid::{MAX_CLOCK_SKEW_SECONDS, Reason};

use crate::Visit;
use crate::refusal::{LOGOUT_TOKEN, RefusedSignIn};

/// The largest form with a logout token, in bytes.
const MAX_LOGOUT_FORM_BYTES: usize = 160 * 1024;

/// Refusal of a logout token: the status, and the code and the description for the provider.
struct LogoutRefusal(StatusCode, &'static str, &'static str);

pub(super) async fn submit(mut visit: Visit, id: &str) -> Response<Body> {
    let form = match visit.form_of(MAX_LOGOUT_FORM_BYTES).await {
        Ok(form) => form,
        Err(refusal) => return refusal.into_response(),
    };
    let token = form.get("logout_token").unwrap_or_default();
    let ended = end_sessions(&visit, id, token).await;
    let (status, body) = match ended {
        Ok(()) => (StatusCode::OK, String::new()),
        Err(LogoutRefusal(status, code, description)) => {
            let body = serde_json::json!({"error": code, "error_description": description});
            (status, body.to_string())
        }
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let json = HeaderValue::from_static("application/json");
    headers.insert(header::CONTENT_TYPE, json);
    if status == StatusCode::BAD_REQUEST {
        let reason = LOGOUT_TOKEN;
        response.extensions_mut().insert(RefusedSignIn { reason });
    }
    response
}

async fn end_sessions(visit: &Visit, id: &str, token: &str) -> Result<(), LogoutRefusal> {
    let provider = visit.parts.providers.find(id);
    let provider = provider.ok_or(LogoutRefusal(
        StatusCode::NOT_FOUND,
        "invalid_request",
        "There is no such identity provider.",
    ))?;
    let notice = provider.client.check_logout(token).await.map_err(|error| {
        let (code, detail) = (error.code(), error.detail());
        tracing::warn!(provider = id, code, detail, "logout token refused");
        let reason = error.reason();
        match reason {
            Reason::ProviderUnavailable | Reason::ProviderTimeout => LogoutRefusal(
                StatusCode::SERVICE_UNAVAILABLE,
                "server_error",
                reason.problem(),
            ),
            _ => LogoutRefusal(StatusCode::BAD_REQUEST, "invalid_request", reason.problem()),
        }
    })?;
    let busy = "The sessions could not be ended now.";
    let busy = || LogoutRefusal(StatusCode::SERVICE_UNAVAILABLE, "server_error", busy);
    let services = visit.services();
    let organization = provider.organization(services).await.map_err(|_| busy())?;
    // The subject of a session is that of another claim if one is configured; `sid` finds the session then.
    let is_usual = provider.client.settings().subject_claim == "sub";
    let subject = notice.sub.as_deref().filter(|_| is_usual);
    let session = notice.session_id.as_deref();
    // A session that began a moment before the notice ends, whatever the clocks say.
    let until = notice.issued_at.plus(MAX_CLOCK_SKEW_SECONDS);
    let who = (subject, session);
    let ended = sessions::end_at_provider(services, &organization, &notice.issuer, who, until);
    let ended = ended.await.map_err(|error| {
        tracing::warn!(provider = id, %error, "sessions not ended at the provider's request");
        busy()
    })?;
    tracing::info!(provider = id, ended, "sessions ended by the provider");
    Ok(())
}
