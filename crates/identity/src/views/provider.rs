//! `/sign-in/provider/{id}` and `/sign-in/callback/{id}`: sign-in with an identity provider.

use admin::credentials::identities;
use admin::credentials::provider_sign_in::{self, ProviderRefusal, ProviderSignIn};
use admin::invites::accept_with_provider;
use admin::sessions::{self, SignInMethod, SignedIn, StartedSession};
use axum::body::Body;
use base::ids::SessionId;
use base::name::Name;
use http::{HeaderValue, Response, StatusCode, header};
use openid::{
    AuthorizationRequest, Callback, OpenIdError, PendingSignIn, ProviderIdentity, Reason,
};
use serde::{Deserialize, Serialize};

use super::{Answer, require_session, unknown_page};
use crate::background::SignInJob;
use crate::providers::ConfiguredProvider;
use crate::refusal::{INVITE_TOKEN, PROVIDER, Refusal};
use crate::{Target, Visit};

/// The parameter of a step-up.
pub(super) const AGAIN: &str = "again";

/// A trip of the browser to a provider and back, sealed with the state of the sign-in.
#[derive(Deserialize, Serialize)]
struct Trip {
    target: String,
    purpose: Purpose,
}

/// Purpose of a trip to a provider.
#[derive(Deserialize, Serialize)]
pub(super) enum Purpose {
    /// The user signs in.
    SignIn,
    /// The user of this session confirms the identity.
    Confirm(SessionId),
    /// The user of this session links the account at the provider.
    Link(SessionId),
    /// An invited person joins, with the token of the invitation and a name.
    Join(String, String),
}

/// Leads to the provider: for a sign-in, or with [`AGAIN`] for another proof of the identity of the session's user.
pub(super) async fn begin(visit: Visit, id: &str) -> Answer {
    let provider = find(&visit, id)?;
    let target = Target::in_form(&visit.query);
    if !visit.query.has(AGAIN) {
        return travel(&visit, provider, (&target, Purpose::SignIn), None).await;
    }
    let signed_in = require_session(&visit, &target).await?;
    let subject = linked_subject(&visit, provider, &signed_in).await?;
    let subject = subject.ok_or_else(|| refusal(provider, &Reason::OtherUser.into()))?;
    let purpose = Purpose::Confirm(signed_in.session.id);
    travel(&visit, provider, (&target, purpose), Some(subject)).await
}

/// Returns the subject of the user's account at the provider; of the account that was linked last if there are several.
async fn linked_subject(
    visit: &Visit,
    provider: &ConfiguredProvider,
    signed_in: &SignedIn,
) -> Result<Option<String>, Refusal> {
    let organization = &signed_in.caller.organization.id;
    let linked = identities::of_user(visit.services(), organization, &signed_in.user.id).await?;
    let mut own = linked.into_iter().rev();
    let own = own.find(|account| account.issuer == provider.issuer());
    Ok(own.map(|account| account.subject))
}

/// Returns the provider, or the refusal of an address that names none.
pub(super) fn find<'a>(visit: &'a Visit, id: &str) -> Result<&'a ConfiguredProvider, Refusal> {
    visit.parts.providers.find(id).ok_or_else(unknown_page)
}

/// Sends the browser to the provider, with the sealed state in a cookie. A step-up names the subject that must
/// authenticate anew.
pub(super) async fn travel(
    visit: &Visit,
    provider: &ConfiguredProvider,
    (target, purpose): (&Target, Purpose),
    step_up: Option<String>,
) -> Answer {
    let services = visit.services();
    let trip = Trip {
        target: target.as_str().to_owned(),
        purpose,
    };
    let request = AuthorizationRequest {
        redirect_uri: visit.address_of(&format!("/sign-in/callback/{}", provider.id())),
        context: serde_json::to_string(&trip).unwrap_or_default(),
        step_up,
        login_hint: None,
    };
    let begun = provider.client.begin(request).await;
    let begun = begun.map_err(|error| refusal(provider, &error))?;
    let sealed = begun.pending.seal(&services.pepper, &services.entropy);
    let sealed = sealed.map_err(|error| refusal(provider, &error))?;
    let cookie = visit.parts.provider_cookie.set(sealed);
    outward(&begun.address, cookie.header())
}

/// Returns a redirect to an address of a provider.
fn outward(address: &str, cookie: Option<HeaderValue>) -> Answer {
    let location = HeaderValue::from_str(address).map_err(|_| unknown_page())?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, location);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    headers.extend(cookie.map(|cookie| (header::SET_COOKIE, cookie)));
    Ok(response)
}

/// Takes the browser back from the provider. The state in the cookie is used up, however the sign-in ends.
pub(super) async fn finish(visit: Visit, id: &str) -> Answer {
    let answer = finish_trip(&visit, id).await;
    let mut response = match answer {
        Ok(response) => response,
        Err(refusal) => {
            let response = refusal.into_response();
            let reason = response.extensions().get::<RefusalReason>().cloned();
            if let Some(reason) = reason {
                record(&visit, id, reason).await;
            }
            response
        }
    };
    if let Some(removal) = visit.parts.provider_cookie.removal().header() {
        response.headers_mut().append(header::SET_COOKIE, removal);
    }
    Ok(response)
}

/// The reason of a refusal, an extension of its response, from which the audit log has the reason.
#[derive(Clone)]
struct RefusalReason {
    code: &'static str,
    problem: &'static str,
    email: Option<String>,
}

/// Has a refused sign-in recorded in the audit log of the organization whose users sign in at the provider.
async fn record(visit: &Visit, id: &str, reason: RefusalReason) {
    let Some(provider) = visit.parts.providers.find(id) else {
        return;
    };
    let Ok(organization_id) = provider.organization(visit.services()).await else {
        return;
    };
    let job = SignInJob::RecordRefusal(ProviderRefusal {
        organization_id,
        provider: id.to_owned(),
        code: reason.code,
        problem: reason.problem.to_owned(),
        email: reason.email,
        more: 0,
    });
    // The metric and the log have the refusal anyway.
    let _ = visit.parts.jobs.queue(job, visit.client());
}

async fn finish_trip(visit: &Visit, id: &str) -> Answer {
    let provider = find(visit, id)?;
    let identity = identity(visit, provider).await;
    let (trip, identity) = identity.map_err(|error| refusal(provider, &error))?;
    let target = Target::new(&trip.target);
    let old = visit.signed_in().await?;
    match trip.purpose {
        Purpose::SignIn => sign_in(visit, provider, &identity, old.as_ref(), &target).await,
        Purpose::Confirm(session) => {
            let old = same_session(provider, old, &session)?;
            confirm(visit, provider, &identity, &old, &target).await
        }
        Purpose::Link(session) => {
            let old = same_session(provider, old, &session)?;
            link(visit, provider, &identity, &old, &target).await
        }
        Purpose::Join(token, name) => {
            let invitation = (token.as_str(), name.as_str());
            let started = join(visit, provider, &identity, invitation, old.as_ref()).await?;
            visit.finish(started, old.as_ref(), &target).await
        }
    }
}

/// Returns the purpose of the trip, and the identity that the provider has confirmed.
async fn identity(
    visit: &Visit,
    provider: &ConfiguredProvider,
) -> openid::Result<(Trip, ProviderIdentity)> {
    let services = visit.services();
    let sealed = visit.provider_cookie().ok_or(Reason::State)?;
    let now = services.clock.now();
    let pending = PendingSignIn::open(&services.pepper, provider.id(), sealed, now)?;
    let trip = serde_json::from_str(pending.context()).map_err(|_| Reason::State)?;
    let callback = Callback::parse(&visit.raw_query)?;
    let identity = provider.client.finish(&pending, &callback).await?;
    Ok((trip, identity))
}

async fn sign_in(
    visit: &Visit,
    provider: &ConfiguredProvider,
    identity: &ProviderIdentity,
    old: Option<&SignedIn>,
    target: &Target,
) -> Answer {
    let services = visit.services();
    let organization = provider.organization(services).await?;
    let session = provider.session(identity);
    let name = identity.name.as_deref();
    let name = name.and_then(|name| Name::new(name).ok());
    let (claims, reason) = provider.claims(identity, &session, name.as_ref());
    let new = visit.new_session(SignInMethod::Provider, Some(&session), old);
    let signed_in =
        provider_sign_in::sign_in(services, &organization, claims, visit.client(), new).await?;
    match (signed_in, reason) {
        (ProviderSignIn::Started(started), _) => visit.finish(started, old, target).await,
        (ProviderSignIn::UnknownUser, Some(reason)) => Err(refusal(provider, &reason)),
        (ProviderSignIn::UnknownUser, None) => Err(unknown_user(provider, identity)),
        (ProviderSignIn::OtherAccount, _) => Err(other_account(provider, identity)),
    }
}

async fn confirm(
    visit: &Visit,
    provider: &ConfiguredProvider,
    identity: &ProviderIdentity,
    old: &SignedIn,
    target: &Target,
) -> Answer {
    let services = visit.services();
    let organization = &old.caller.organization.id;
    let session = provider.session(identity);
    let owner = identities::find(services, organization, &session.issuer, &session.subject).await?;
    if owner.as_ref() != Some(&old.user.id) {
        return Err(refusal(provider, &Reason::OtherUser.into()));
    }
    let new = visit.new_session(SignInMethod::Provider, Some(&session), Some(old));
    let user = &old.user.id;
    let started = sessions::begin(services, organization, user, visit.client(), new).await?;
    visit.finish(started, Some(old), target).await
}

async fn link(
    visit: &Visit,
    provider: &ConfiguredProvider,
    identity: &ProviderIdentity,
    old: &SignedIn,
    target: &Target,
) -> Answer {
    let session = provider.session(identity);
    let email = identity.email.as_ref().map(|email| email.as_str());
    let account = (&session, email);
    identities::link_own(visit.services(), old, account, visit.client()).await?;
    Ok(pages::redirect(&pages::Link::to_path(target.as_str()), []))
}

async fn join(
    visit: &Visit,
    provider: &ConfiguredProvider,
    identity: &ProviderIdentity,
    (token, name): (&str, &str),
    old: Option<&SignedIn>,
) -> Result<StartedSession, Refusal> {
    let services = visit.services();
    let organization = provider.organization(services).await?;
    let session = provider.session(identity);
    let email = identity.email.as_ref().map(|email| email.as_str());
    let names = [Some(name), identity.name.as_deref(), email];
    let mut names = names.into_iter().flatten();
    let name = names.find_map(|name| Name::new(name).ok());
    let name = name.ok_or_else(|| refusal(provider, &Reason::Subject.into()))?;
    let (claims, _) = provider.claims(identity, &session, Some(&name));
    let new = visit.new_session(SignInMethod::Provider, Some(&session), old);
    let invitation = (token, &name);
    let client = visit.client();
    let started =
        accept_with_provider(services, invitation, &organization, claims, client, new).await;
    started.map_err(|error| {
        let is_refused = error.status == StatusCode::BAD_REQUEST;
        let refusal = Refusal::from(error);
        if is_refused {
            refusal.of_attempt(INVITE_TOKEN)
        } else {
            refusal
        }
    })
}

/// Returns the session of the browser, if the trip began with it.
fn same_session(
    provider: &ConfiguredProvider,
    signed_in: Option<SignedIn>,
    session: &SessionId,
) -> Result<SignedIn, Refusal> {
    let same = signed_in.filter(|signed_in| signed_in.session.id == *session);
    same.ok_or_else(|| refusal(provider, &Reason::State.into()))
}

/// Returns the page for a reason, which says what to do, and logs the details.
pub(super) fn refusal(provider: &ConfiguredProvider, error: &OpenIdError) -> Refusal {
    let reason = error.reason();
    let (id, code, detail) = (provider.id(), error.code(), error.detail());
    if reason.concerns_operator() {
        tracing::warn!(
            provider = id,
            code,
            detail,
            "sign-in with identity provider failed"
        );
    } else {
        tracing::info!(
            provider = id,
            code,
            detail,
            "sign-in with identity provider refused"
        );
    }
    let message = format!("{} {} (Code: {code})", reason.problem(), reason.advice());
    let status = match reason {
        Reason::ProviderUnavailable | Reason::ProviderTimeout => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::FORBIDDEN,
    };
    let refusal = Refusal::page(status, &title(provider), &message).with(RefusalReason {
        code,
        problem: reason.problem(),
        email: None,
    });
    match reason {
        // Only these may be guesses.
        Reason::State | Reason::Replay | Reason::Malformed | Reason::Issuer => {
            refusal.of_attempt(PROVIDER)
        }
        _ => refusal,
    }
}

fn title(provider: &ConfiguredProvider) -> String {
    format!("Sign-in with {} did not work", provider.name)
}

fn unknown_user(provider: &ConfiguredProvider, identity: &ProviderIdentity) -> Refusal {
    let problem = "No user of the organization has this account.";
    let advice = "Ask an owner for an invitation, or sign in another way and link the account on the page /account/providers.";
    of_account(provider, identity, "unknown_user", (problem, advice))
}

fn other_account(provider: &ConfiguredProvider, identity: &ProviderIdentity) -> Refusal {
    let problem = "The user with this mail address signs in with another account at the provider.";
    let advice = "Sign in with that account, or sign in another way and link this account on the page /account/providers.";
    of_account(provider, identity, "other_account", (problem, advice))
}

fn of_account(
    provider: &ConfiguredProvider,
    identity: &ProviderIdentity,
    code: &'static str,
    (problem, advice): (&'static str, &'static str),
) -> Refusal {
    let message = format!("{problem} {advice} (Code: {code})");
    let email = identity.email.as_ref();
    let reason = RefusalReason {
        code,
        problem,
        email: email.map(|email| email.as_str().to_owned()),
    };
    Refusal::page(StatusCode::FORBIDDEN, &title(provider), &message).with(reason)
}
