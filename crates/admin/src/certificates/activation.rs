//! Activation of certificates. A request changes all certificates that it names, or none.

use base::ids::{CertificateId, Id, MAX_ID_LENGTH};
use base::{Error, Result, UnixTime};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::certificate::{CertificateScope, IN_SCOPE, ScopeCertificate};
use crate::operation::{Done, Event, EventType, Write};
use crate::{args, tenant_sql};

/// The certificates that a request has activated or deactivated.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "{O}Answer")]
pub(super) struct Toggled<O, C> {
    object: O,
    data: Vec<ScopeCertificate<C>>,
}

/// The most certificates in one request.
const MAX_CERTIFICATES_PER_REQUEST: usize = 10;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ToggleCertificates {
    /// Ids of certificates, 1 to 10.
    #[schemars(length(min = 1, max = 10))]
    certificate_ids: Vec<String>,
}

pub(super) async fn activate<S: CertificateScope>(
    mut cx: Write,
    scope: S,
    body: ToggleCertificates,
) -> Result<Done<Toggled<S::Activation, S::Object>>> {
    let mut data = find(&mut cx, &scope, body).await?;
    refuse_expired(&data, cx.now())?;
    let changed = set(&mut cx, &scope, &mut data, true).await?;
    Ok(done(cx, EventType::CertificatesActivated, &changed, data))
}

pub(super) async fn deactivate<S: CertificateScope>(
    mut cx: Write,
    scope: S,
    body: ToggleCertificates,
) -> Result<Done<Toggled<S::Deactivation, S::Object>>> {
    let mut data = find(&mut cx, &scope, body).await?;
    let changed = set(&mut cx, &scope, &mut data, false).await?;
    Ok(done(cx, EventType::CertificatesDeactivated, &changed, data))
}

/// Finds the named certificates, in the order of the request, without duplicates.
async fn find<S: CertificateScope>(
    cx: &mut Write,
    scope: &S,
    body: ToggleCertificates,
) -> Result<Vec<ScopeCertificate<S::Object>>> {
    const PARAM: &str = "certificate_ids";
    if !(1..=MAX_CERTIFICATES_PER_REQUEST).contains(&body.certificate_ids.len()) {
        let message = format!("{PARAM} must have 1 to {MAX_CERTIFICATES_PER_REQUEST} ids.");
        return Err(Error::invalid(PARAM, message));
    }
    let mut found: Vec<ScopeCertificate<S::Object>> = Vec::new();
    for (index, id) in body.certificate_ids.into_iter().enumerate() {
        if found
            .iter()
            .any(|certificate| certificate.id.as_str() == id)
        {
            continue;
        }
        let unknown = || {
            let shown: String = id.chars().take(MAX_ID_LENGTH).collect();
            let message = format!("No certificate with id '{shown}' was found.");
            Error::invalid(format!("{PARAM}[{index}]"), message)
        };
        let mut one = tenant_sql!(cx, IN_SCOPE, args![scope.project_key()]);
        one.push(" AND c.id = ").bind(id.as_str());
        let certificate = cx.fetch_optional(one, ScopeCertificate::read).await?;
        found.push(certificate.ok_or_else(unknown)?);
    }
    Ok(found)
}

/// Refuses to activate the certificate of an expired authority: all clients would be locked out.
fn refuse_expired<C>(certificates: &[ScopeCertificate<C>], now: UnixTime) -> Result<()> {
    let expired = |certificate: &&ScopeCertificate<C>| {
        !certificate.active && certificate.validity.expires_at <= now
    };
    match certificates.iter().find(expired) {
        None => Ok(()),
        Some(certificate) => {
            let message = format!(
                "The certificate '{}' has expired. Upload its successor.",
                certificate.id
            );
            Err(Error::refused("expired_certificate", message).about("certificate_ids"))
        }
    }
}

/// Sets the state of the certificates. Returns ids and names of those that it changes.
async fn set<S: CertificateScope>(
    cx: &mut Write,
    scope: &S,
    certificates: &mut [ScopeCertificate<S::Object>],
    active: bool,
) -> Result<Vec<(CertificateId, Option<String>)>> {
    let mut changed = Vec::new();
    for certificate in certificates {
        if certificate.active == active {
            continue;
        }
        let text = if active {
            tenant_sql!(
                "INSERT INTO certificate_activations (organization_id, project_id, certificate_id) VALUES ($1, $2, $3)"
            )
        } else {
            tenant_sql!(
                "DELETE FROM certificate_activations WHERE organization_id = $1 AND project_id = $2 AND certificate_id = $3"
            )
        };
        let change = cx.sql(text, args![scope.project_key(), &certificate.id]);
        cx.execute(change).await?;
        certificate.active = active;
        changed.push((certificate.id.clone(), certificate.name.clone()));
    }
    Ok(changed)
}

fn done<O: Default, C>(
    cx: Write,
    kind: EventType,
    changed: &[(CertificateId, Option<String>)],
    data: Vec<ScopeCertificate<C>>,
) -> Done<Toggled<O, C>> {
    let answer = Toggled {
        object: O::default(),
        data,
    };
    if changed.is_empty() {
        return cx.unchanged(answer);
    }
    let shown: Vec<_> = changed
        .iter()
        .map(|(id, name)| {
            let mut shown = super::details(name.as_deref());
            shown["id"] = json!(id);
            shown
        })
        .collect();
    let ids = changed.iter().map(|(id, _)| id);
    cx.done(
        Event::of_several(kind, ids, json!({"certificates": shown})),
        answer,
    )
}
