//! Certificates, as they are stored and as answers show them.

use base::UnixTime;
use base::ids::CertificateId;
use schemars::JsonSchema;
use serde::Serialize;
use store::Row;

use super::authority::AuthorityCertificate;
use crate::list::Item;
use crate::literal::literals;
use crate::operation::Organization;
use crate::projects::ActiveProject;
use crate::role_scope::RoleScope;

literals! {
    CertificateObject = "certificate";
    CertificateDeleted = "certificate.deleted";
    OrganizationCertificate = "organization.certificate";
    OrganizationCertificateActivation = "organization.certificate.activation";
    OrganizationCertificateDeactivation = "organization.certificate.deactivation";
    ProjectCertificate = "organization.project.certificate";
    ProjectCertificateActivation = "organization.project.certificate.activation";
    ProjectCertificateDeactivation = "organization.project.certificate.deactivation";
}

/// An organization or a project, with the names of its answers about certificates.
pub(super) trait CertificateScope: RoleScope {
    type Object: Default + Serialize + JsonSchema + Send + 'static;
    type Activation: Default + Serialize + JsonSchema + Send + 'static;
    type Deactivation: Default + Serialize + JsonSchema + Send + 'static;
}

impl CertificateScope for Organization {
    type Object = OrganizationCertificate;
    type Activation = OrganizationCertificateActivation;
    type Deactivation = OrganizationCertificateDeactivation;
}

impl CertificateScope for ActiveProject {
    type Object = ProjectCertificate;
    type Activation = ProjectCertificateActivation;
    type Deactivation = ProjectCertificateDeactivation;
}

/// The certificate of an authority.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Certificate {
    object: CertificateObject,
    pub(super) id: CertificateId,
    pub(super) name: Option<String>,
    pub(super) created_at: UnixTime,
    #[serde(rename = "certificate_details")]
    pub(super) details: CertificateDetails,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct CertificateDetails {
    valid_at: UnixTime,
    pub(super) expires_at: UnixTime,
    /// Certificate in PEM; present if requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(super) content: Option<String>,
}

/// A certificate with its activation in an organization or a project.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "{O}")]
pub(super) struct ScopeCertificate<O> {
    object: O,
    pub(super) id: CertificateId,
    pub(super) name: Option<String>,
    pub(super) active: bool,
    created_at: UnixTime,
    #[serde(rename = "certificate_details")]
    pub(super) validity: CertificateValidity,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct CertificateValidity {
    valid_at: UnixTime,
    pub(super) expires_at: UnixTime,
}

impl Certificate {
    /// Creates the record of an uploaded certificate.
    pub(super) fn new(
        id: CertificateId,
        name: Option<String>,
        created_at: UnixTime,
        authority: &AuthorityCertificate,
    ) -> Self {
        Self {
            object: CertificateObject,
            id,
            name,
            created_at,
            details: CertificateDetails {
                valid_at: authority.valid_at,
                expires_at: authority.expires_at,
                content: None,
            },
        }
    }

    /// Reads a row, with the certificate's content.
    pub(super) fn read(row: &Row<'_>) -> store::Result<Self> {
        Ok(Self {
            object: CertificateObject,
            id: row.id("id")?,
            name: row.get("name")?,
            created_at: row.time("created_at")?,
            details: CertificateDetails {
                valid_at: row.time("valid_at")?,
                expires_at: row.time("expires_at")?,
                content: row.get("content")?,
            },
        })
    }

    pub(super) fn without_content(mut self) -> Self {
        self.details.content = None;
        self
    }
}

impl<O: Default> ScopeCertificate<O> {
    pub(super) fn read(row: &Row<'_>) -> store::Result<Self> {
        Ok(Self {
            object: O::default(),
            id: row.id("id")?,
            name: row.get("name")?,
            active: row.get("active")?,
            created_at: row.time("created_at")?,
            validity: CertificateValidity {
                valid_at: row.time("valid_at")?,
                expires_at: row.time("expires_at")?,
            },
        })
    }
}

impl<O> Item for ScopeCertificate<O> {
    fn cursor(&self) -> String {
        self.id.to_string()
    }
}

pub(super) const ONE: &str = "\
    SELECT id, name, created_at, valid_at, expires_at, content FROM certificates \
    WHERE organization_id = $1 AND id = $2";
/// Certificates of the organization `$1` with their activation in `$2`: a project, or empty for the organization.
pub(super) const IN_SCOPE: &str = "\
    SELECT c.id, c.name, c.created_at, c.valid_at, c.expires_at, a.certificate_id IS NOT NULL AS active \
    FROM certificates c LEFT JOIN certificate_activations a \
        ON a.organization_id = c.organization_id AND a.project_id = $2 AND a.certificate_id = c.id \
    WHERE c.organization_id = $1";
