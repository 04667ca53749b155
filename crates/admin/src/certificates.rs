//! `/organization/certificates` and `/organization/projects/{project_id}/certificates`: certificate authorities for client
//! certificates, and their activation.

mod activation;
mod authority;
mod certificate;

use base::ids::CertificateId;
use base::name::Name;
use base::{Error, Permission, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use store::{Order, Row};

use crate::list::{Deleted, List, page_after};
use crate::operation::{
    Done, Event, EventType, Limit, NoParameters, Operation, OrderBy, Organization, Read, ScopedId,
    Separated, Write, operations,
};
use crate::projects::ActiveProject;
use crate::{args, tenant_sql};
use activation::{activate, deactivate};
use authority::AuthorityCertificate;
use certificate::{
    Certificate, CertificateDeleted, CertificateScope, IN_SCOPE, ONE, ScopeCertificate,
};

/// Returns the operations on the activation of certificates in a scope.
macro_rules! activation_operations {
    ($scope:ty: $command:literal, $path:literal) => {
        operations! {
            GET concat!($command, " list"), $path, Permission::CertificatesRead,
                "Lists the organization's certificates with their activation in the scope.", list::<$scope>;
            POST concat!($command, " activate"), concat!($path, "/activate"), Permission::CertificatesWrite,
                "Activates certificates: all of them, or none.", activate::<$scope>;
            POST concat!($command, " deactivate"), concat!($path, "/deactivate"), Permission::CertificatesWrite,
                "Deactivates certificates: all of them, or none.", deactivate::<$scope>;
        }
    };
}

pub(crate) fn operations() -> Vec<Operation> {
    [
        of_organization(),
        activation_operations!(Organization: "certificates", "/organization/certificates"),
        activation_operations!(
            ActiveProject: "projects:certificates", "/organization/projects/{project_id}/certificates"
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Returns the operations on certificates, which belong to the organization.
fn of_organization() -> Vec<Operation> {
    use Permission::{CertificatesRead, CertificatesWrite};
    const ALL: &str = "/organization/certificates";
    const ONE: &str = "/organization/certificates/{certificate_id}";
    operations! {
        POST "certificates create", ALL, CertificatesWrite,
            "Uploads the certificate of an authority without activating it.", create;
        GET "certificates retrieve", ONE, CertificatesRead, "Retrieves a certificate.", retrieve;
        POST "certificates update", ONE, CertificatesWrite, "Renames a certificate.", update;
        DELETE "certificates delete", ONE, CertificatesWrite, "Deletes a certificate that is not active.", delete;
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListCertificates {
    /// Maximum number of items on the page.
    #[serde(default)]
    limit: Limit<20, 1, 100>,
    /// The id of the last certificate of the previous page.
    after: Option<String>,
    /// Order of creation: oldest first (`asc`) or newest first (`desc`, the default).
    order: Option<OrderBy>,
}

async fn list<S: CertificateScope>(
    mut cx: Read,
    scope: S,
    query: ListCertificates,
) -> Result<List<ScopeCertificate<S::Object>>> {
    let list = tenant_sql!(cx, IN_SCOPE, args![scope.project_key()]);
    let order = query.order.map_or(Order::Descending, Order::from);
    let request = page_after(query.limit.0, query.after, order);
    cx.list(&request, list.clone(), list, "c.id", ScopeCertificate::read)
        .await
}

/// The most certificates of an organization.
const MAX_CERTIFICATES: usize = 50;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CreateCertificate {
    /// Name of the certificate.
    name: Option<Name>,
    /// Certificate of an authority in PEM: a single block.
    #[schemars(extend("contentMediaType" = "application/pem-certificate-chain"))]
    certificate: String,
}

async fn create(
    mut cx: Write,
    _: Organization,
    body: CreateCertificate,
) -> Result<Done<Certificate>> {
    let authority = AuthorityCertificate::parse(&body.certificate, cx.now())?;
    let fingerprints = tenant_sql!(
        cx,
        "SELECT id, fingerprint FROM certificates WHERE organization_id = $1",
        args![],
    );
    let read = |row: &Row<'_>| Ok((row.id("id")?, row.get("fingerprint")?));
    let existing: Vec<(CertificateId, Vec<u8>)> = cx.fetch_all(fingerprints, read).await?;
    let same = existing
        .iter()
        .find(|(_, fingerprint)| *fingerprint == authority.fingerprint);
    if let Some((id, _)) = same {
        let message = format!("This certificate has been uploaded already: it is '{id}'.");
        return Err(Error::refused("duplicate_certificate", message).about("certificate"));
    }
    if existing.len() >= MAX_CERTIFICATES {
        let message = format!(
            "An organization has at most {MAX_CERTIFICATES} certificates. Delete one first."
        );
        return Err(Error::refused("too_many_certificates", message));
    }
    let name = body.name.map(Name::into_string);
    let certificate = Certificate::new(cx.new_id(), name, cx.now(), &authority);
    let insert = tenant_sql!(
        cx,
        "INSERT INTO certificates (organization_id, id, name, fingerprint, content, valid_at, expires_at, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        args![
            &certificate.id,
            certificate.name.clone(),
            authority.fingerprint,
            authority.pem,
            authority.valid_at,
            authority.expires_at,
            certificate.created_at
        ],
    );
    cx.execute(insert).await?;
    let details = details(certificate.name.as_deref());
    let event = Event::new(EventType::CertificateCreated, &certificate.id, details);
    Ok(cx.done(event, certificate))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RetrieveCertificate {
    /// Additional fields of the response: `content`, the certificate itself.
    #[serde(default)]
    include: Separated<Include>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum Include {
    Content,
}

async fn retrieve(
    mut cx: Read,
    ScopedId(_, id): ScopedId<Organization, CertificateId>,
    query: RetrieveCertificate,
) -> Result<Certificate> {
    let one = tenant_sql!(cx, ONE, args![&id]);
    let certificate = cx.find(&id, one, Certificate::read).await?;
    Ok(match &*query.include {
        [] => certificate.without_content(),
        [Include::Content, ..] => certificate,
    })
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct UpdateCertificate {
    /// New name; null leaves the name unchanged.
    name: Option<Name>,
}

async fn update(
    mut cx: Write,
    ScopedId(_, id): ScopedId<Organization, CertificateId>,
    body: UpdateCertificate,
) -> Result<Done<Certificate>> {
    let one = tenant_sql!(cx, ONE, args![&id]);
    let mut certificate = cx
        .find(&id, one, Certificate::read)
        .await?
        .without_content();
    let name = body.name.map(Name::into_string);
    if name.is_none() || name == certificate.name {
        return Ok(cx.unchanged(certificate));
    }
    certificate.name = name;
    let update = tenant_sql!(
        cx,
        "UPDATE certificates SET name = $3 WHERE organization_id = $1 AND id = $2",
        args![&id, certificate.name.clone()],
    );
    cx.execute(update).await?;
    let details = details(certificate.name.as_deref());
    let event = Event::new(EventType::CertificateUpdated, &id, details);
    Ok(cx.done(event, certificate))
}

async fn delete(
    mut cx: Write,
    ScopedId(_, id): ScopedId<Organization, CertificateId>,
    _: NoParameters,
) -> Result<Done<Deleted<CertificateDeleted>>> {
    let one = tenant_sql!(cx, ONE, args![&id]);
    let certificate = cx.find(&id, one, Certificate::read).await?;
    let active = tenant_sql!(
        cx,
        "SELECT project_id FROM certificate_activations WHERE organization_id = $1 AND certificate_id = $2",
        args![&id],
    );
    let place = cx
        .fetch_optional(active, |row| row.get::<String>("project_id"))
        .await?;
    if let Some(place) = place {
        let place = if place.is_empty() {
            "the organization".to_owned()
        } else {
            format!("the project '{place}'")
        };
        let message =
            format!("The certificate '{id}' is active in {place}. Deactivate it there first.");
        return Err(Error::refused("certificate_active", message));
    }
    let delete = tenant_sql!(
        cx,
        "DELETE FROM certificates WHERE organization_id = $1 AND id = $2",
        args![&id],
    );
    cx.execute(delete).await?;
    let mut details = details(certificate.name.as_deref());
    details["certificate"] = json!(certificate.details.content);
    let answer = Deleted::new(CertificateDeleted, &id);
    let event = Event::new(EventType::CertificateDeleted, &id, details);
    Ok(cx.done(event, answer))
}

/// Returns the details of an event about a certificate; without `name` if it has none.
fn details(name: Option<&str>) -> Json {
    name.map_or_else(|| json!({}), |name| json!({"name": name}))
}
