//! Where certificates are active: all that a request names change, or none.

use base::ids::{CertificateId, Id, MAX_ID_LENGTH};
use base::{Error, Result, UnixTime};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::certificate::{AT_LEVEL, Guarded, LevelCertificate};
use crate::operation::{Done, Event, EventType, Write};
use crate::{args, tenant_sql};

/// The certificates whose state was asked for, as they are now.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "{O}Answer")]
pub(super) struct Toggled<O, C> {
    object: O,
    data: Vec<LevelCertificate<C>>,
}

/// The most certificates in one request.
const MOST_AT_ONCE: usize = 10;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ToggleCertificates {
    /// 1 to 10 ids.
    #[schemars(length(min = 1, max = 10))]
    certificate_ids: Vec<String>,
}

pub(super) async fn activate<L: Guarded>(
    mut cx: Write,
    level: L,
    body: ToggleCertificates,
) -> Result<Done<Toggled<L::Activation, L::Object>>> {
    let mut data = find(&mut cx, &level, body).await?;
    refuse_expired(&data, cx.now())?;
    let changed = set(&mut cx, &level, &mut data, true).await?;
    Ok(done(cx, EventType::CertificatesActivated, &changed, data))
}

pub(super) async fn deactivate<L: Guarded>(
    mut cx: Write,
    level: L,
    body: ToggleCertificates,
) -> Result<Done<Toggled<L::Deactivation, L::Object>>> {
    let mut data = find(&mut cx, &level, body).await?;
    let changed = set(&mut cx, &level, &mut data, false).await?;
    Ok(done(cx, EventType::CertificatesDeactivated, &changed, data))
}

/// The certificates that are named, in that order, each once.
async fn find<L: Guarded>(
    cx: &mut Write,
    level: &L,
    body: ToggleCertificates,
) -> Result<Vec<LevelCertificate<L::Object>>> {
    const PARAM: &str = "certificate_ids";
    if !(1..=MOST_AT_ONCE).contains(&body.certificate_ids.len()) {
        let message = format!("{PARAM} must have 1 to {MOST_AT_ONCE} ids.");
        return Err(Error::invalid(PARAM, message));
    }
    let mut found: Vec<LevelCertificate<L::Object>> = Vec::new();
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
        let mut one = tenant_sql!(cx, AT_LEVEL, args![level.project_key()]);
        one.push(" AND c.id = ").bind(id.as_str());
        let certificate = cx.fetch_optional(one, LevelCertificate::read).await?;
        found.push(certificate.ok_or_else(unknown)?);
    }
    Ok(found)
}

/// Nobody's certificate can come from an authority that has expired: to ask for one would lock everybody out.
fn refuse_expired<C>(certificates: &[LevelCertificate<C>], now: UnixTime) -> Result<()> {
    let expired = |certificate: &&LevelCertificate<C>| {
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

/// Changes those whose state is another one; their ids and names.
async fn set<L: Guarded>(
    cx: &mut Write,
    level: &L,
    certificates: &mut [LevelCertificate<L::Object>],
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
        let change = cx.sql(text, args![level.project_key(), &certificate.id]);
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
    data: Vec<LevelCertificate<C>>,
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
