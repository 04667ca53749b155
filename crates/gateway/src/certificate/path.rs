//! The verification of the path from a client's certificate to an authority (RFC 5280).

use std::time::Duration;

use access::{Authority, Validity};
use base::UnixTime;
use rustls::pki_types::{self, CertificateDer};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage};

use super::CertificateChain;

/// The longest chain that is verified. Paths are shorter, and every certificate costs time.
const MAX_CHAIN_LEN: usize = 10;

/// A verified path from a client's certificate to an authority.
pub(super) struct CertificatePath {
    pub(super) chain: CertificateChain,
    pub(super) authority: Authority,
    /// The time in which all certificates of the path are valid.
    pub(super) validity: Validity,
}

/// A reason to reject a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PathError {
    #[error("the one of this request, or one above it, has expired")]
    Expired,
    #[error("the one of this request, or one above it, is not valid yet")]
    NotYetValid,
    #[error("every active authority has expired, or is not valid yet. Activate one that is valid")]
    NoAuthority,
    #[error("the one of this request is not for the authentication of clients")]
    NotForClients,
    #[error("the one of this request came with too many others")]
    TooLong,
    #[error("the one of this request cannot be read")]
    Malformed,
    #[error(
        "the one of this request leads to none of them. Send the certificates between it and the authority along"
    )]
    UnknownIssuer,
}

/// Verifies at `now` that the first certificate of a chain leads, through the others, to one of the authorities.
pub(super) fn verify<'a>(
    chain: &CertificateChain,
    authorities: impl Iterator<Item = &'a Authority>,
    now: UnixTime,
) -> Result<CertificatePath, PathError> {
    let usable = authorities.filter_map(|it| Some((it, it.anchor(now)?)));
    let (authorities, anchors): (Vec<_>, Vec<_>) = usable
        .map(|(authority, (anchor, validity))| ((authority, validity), anchor.clone()))
        .unzip();
    if anchors.is_empty() {
        return Err(PathError::NoAuthority);
    }
    if chain.len() > MAX_CHAIN_LEN {
        return Err(PathError::TooLong);
    }
    let (own, others) = chain.split_first().ok_or(PathError::Malformed)?;
    let own = EndEntityCert::try_from(own).map_err(|_| PathError::Malformed)?;
    let path = own.verify_for_usage(
        ALL_VERIFICATION_ALGS,
        &anchors,
        others,
        seconds(now),
        KeyUsage::client_auth(),
        None,
        None,
    );
    let path = path.map_err(|error| path_error(&error))?;
    let mut ends = anchors.iter().zip(authorities);
    let end = ends.find(|(anchor, _)| *anchor == path.anchor());
    let (_, (authority, validity)) = end.ok_or(PathError::UnknownIssuer)?;
    let intermediate = path.intermediate_certificates().map(|it| it.der());
    let certificates = [path.end_entity().der()].into_iter().chain(intermediate);
    let validity = common_validity(validity, certificates).ok_or(PathError::Malformed)?;
    Ok(CertificatePath {
        chain: chain.clone(),
        authority: authority.clone(),
        validity,
    })
}

/// Returns the time in which all certificates and `validity` are valid.
fn common_validity<'a>(
    validity: Validity,
    mut certificates: impl Iterator<Item = CertificateDer<'a>>,
) -> Option<Validity> {
    certificates.try_fold(validity, |all, certificate| {
        let one = Validity::of(&certificate)?;
        Some(Validity {
            begins: all.begins.max(one.begins),
            ends: all.ends.min(one.ends),
        })
    })
}

fn seconds(now: UnixTime) -> pki_types::UnixTime {
    let seconds = u64::try_from(now.0).unwrap_or_default();
    pki_types::UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

fn path_error(error: &webpki::Error) -> PathError {
    use webpki::Error;
    match error {
        Error::CertExpired { .. } => PathError::Expired,
        Error::CertNotValidYet { .. } => PathError::NotYetValid,
        Error::RequiredEkuNotFoundContext(_) | Error::CaUsedAsEndEntity => PathError::NotForClients,
        Error::BadDer | Error::BadDerTime | Error::TrailingData(_) => PathError::Malformed,
        _ => PathError::UnknownIssuer,
    }
}
