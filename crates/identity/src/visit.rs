//! A visit: one request of a browser to the sign-in.

use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};

use admin::Services;
use admin::sessions::{self, NewSession, ProviderSession, SignInMethod, SignedIn, StartedSession};
use axum::body::Body;
use base::{ClientAddress, Result};
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use pages::cookie::SetCookie;
use pages::form::DEFAULT_FORM_BYTES;
use pages::origin::is_same_origin;
use pages::{Card, FormData, Html, Link, Notice, Preferences, read_form, redirect};

use crate::refusal::Refusal;
use crate::{Identity, IdentityParts, SignInOptions, Target};

/// A request of a browser to the sign-in, with what its pages need.
pub struct Visit {
    pub(crate) parts: Arc<IdentityParts>,
    /// Method of the request; `GET` for `HEAD`.
    pub(crate) method: Method,
    /// Path of the request.
    pub(crate) path: String,
    /// Query as it was sent.
    pub(crate) raw_query: String,
    /// Pairs of the query.
    pub(crate) query: FormData,
    pub(crate) headers: HeaderMap,
    client: Option<ClientAddress>,
    preferences: Preferences,
    /// Body, in a lock that is never waited for, since a body alone cannot be shared between threads.
    body: Mutex<Body>,
}

impl Visit {
    pub(crate) fn begin(parts: &Arc<IdentityParts>, request: Request<Body>) -> Self {
        let (head, body) = request.into_parts();
        let method = match head.method {
            Method::HEAD => Method::GET,
            method => method,
        };
        Self {
            parts: Arc::clone(parts),
            method,
            path: head.uri.path().to_owned(),
            raw_query: head.uri.query().unwrap_or_default().to_owned(),
            query: FormData::of_query(head.uri.query()),
            preferences: Preferences::of(&head.headers),
            client: head.extensions.get().copied(),
            headers: head.headers,
            body: Mutex::new(body),
        }
    }

    pub(crate) fn services(&self) -> &Arc<Services> {
        &self.parts.services
    }

    pub(crate) fn options(&self) -> &SignInOptions {
        &self.parts.options
    }

    /// Returns the address of the client.
    pub(crate) fn client(&self) -> Option<ClientAddress> {
        self.client
    }

    /// Refuses a request that another site may have made the browser send. Requests of no browser have no origin.
    pub(crate) fn check_origin(&self) -> Result<(), Refusal> {
        if !Identity::is_for_browsers(&self.path) {
            return Ok(());
        }
        let public_url = &self.services().public_url;
        if is_same_origin(&self.method, &self.headers, public_url) {
            return Ok(());
        }
        let message = format!(
            "The form was not sent by a page of this server, or the server is reached under another address than {public_url}."
        );
        Err(Refusal::page(
            StatusCode::FORBIDDEN,
            "The form was not accepted",
            &message,
        ))
    }

    /// Reads the form in the body, once.
    pub(crate) async fn form(&mut self) -> Result<FormData, Refusal> {
        self.form_of(DEFAULT_FORM_BYTES).await
    }

    /// Reads the form in the body, once, which has at most `limit` bytes.
    pub(crate) async fn form_of(&mut self, limit: usize) -> Result<FormData, Refusal> {
        let body = self.body.get_mut().unwrap_or_else(PoisonError::into_inner);
        let body = std::mem::take(body);
        Ok(read_form(&self.headers, body, limit).await?)
    }

    /// Returns the sealed state of the sign-in in progress at an identity provider.
    pub(crate) fn provider_cookie(&self) -> Option<&str> {
        self.parts.provider_cookie.sealed(&self.headers)
    }

    /// Returns the address of a path of this server.
    pub(crate) fn address_of(&self, path: &str) -> String {
        let base = self.services().public_url.trim_end_matches('/');
        format!("{base}{path}")
    }

    /// Returns the user whose session is in the cookie; `None` without a valid session.
    pub(crate) async fn signed_in(&self) -> Result<Option<SignedIn>, Refusal> {
        let identity = Identity(Arc::clone(&self.parts));
        Ok(identity.signed_in(&self.headers).await?)
    }

    /// Returns the parameters of the session that a proof of identity begins. It replaces `old`, the browser's own.
    pub(crate) fn new_session<'a>(
        &'a self,
        method: SignInMethod,
        provider: Option<&'a ProviderSession>,
        old: Option<&'a SignedIn>,
    ) -> NewSession<'a> {
        let user_agent = self.headers.get(header::USER_AGENT);
        NewSession {
            method,
            provider,
            user_agent: user_agent.and_then(|agent| agent.to_str().ok()),
            replaces: old.map(|old| &old.session.id),
        }
    }

    /// Ends a sign-in: gives the browser the token of the session that has begun, and leads to the target. A session of
    /// the same browser in another organization ends, too.
    pub(crate) async fn finish(
        &self,
        started: StartedSession,
        old: Option<&SignedIn>,
        target: &Target,
    ) -> Result<Response<Body>, Refusal> {
        if let Some(old) = old
            && old.caller.organization.id != started.organization_id
        {
            sessions::end(self.services(), old, self.client).await?;
        }
        let cookie = self.parts.cookie.set(&started.token);
        Ok(redirect(&Link::to_path(target.as_str()), [&cookie]))
    }

    /// Returns the cookie that makes the browser forget its token.
    pub(crate) fn cookie_removal(&self) -> SetCookie {
        self.parts.cookie.removal()
    }

    /// Returns the redirect to the sign-in with the cookie that makes the browser forget its token.
    pub(crate) fn forget(&self, target: &Link) -> Response<Body> {
        redirect(target, [&self.cookie_removal()])
    }

    /// Returns a page with a card.
    pub(crate) fn card(
        &self,
        (title, introduction): (&str, &str),
        notice: Option<&Notice>,
        content: &dyn Display,
    ) -> Html {
        let card = Card {
            title,
            introduction,
            preferences: &self.preferences,
            notice,
            content,
        };
        card.render()
    }
}
