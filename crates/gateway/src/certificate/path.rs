//! The path from a client's certificate to an authority (RFC 5280), and why there is none.

use std::fmt;
use std::time::Duration;

use access::{Authority, Validity};
use base::UnixTime;
use rustls::pki_types::{self, CertificateDer};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage};

use super::Chain;

/// The longest chain that is looked at: paths are shorter, and every certificate costs time.
const LONGEST: usize = 10;

/// A chain that leads to an authority.
pub(super) struct Path {
    pub(super) chain: Chain,
    pub(super) authority: Authority,
    /// While all certificates on the way are good.
    pub(super) validity: Validity,
}

/// Why a chain leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Expired,
    NotYetValid,
    NoAuthority,
    NotForClients,
    TooLong,
    Unreadable,
    Stranger,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Expired => "the one of this request, or one above it, has expired",
            Self::NotYetValid => "the one of this request, or one above it, is not valid yet",
            Self::NoAuthority => {
                "every active authority has expired, or is not valid yet. Activate one that is valid"
            }
            Self::NotForClients => "the one of this request is not for the authentication of clients",
            Self::TooLong => "the one of this request came with too many others",
            Self::Unreadable => "the one of this request cannot be read",
            Self::Stranger => {
                "the one of this request leads to none of them. Send the certificates between it and the authority along"
            }
        })
    }
}

/// Finds a path at `now` from the chain's first certificate, by way of the others, to one of the authorities.
pub(super) fn find<'a>(
    chain: &Chain,
    authorities: impl Iterator<Item = &'a Authority>,
    now: UnixTime,
) -> Result<Path, Fault> {
    let usable = authorities.filter_map(|it| Some((it, it.anchor(now)?)));
    let (authorities, anchors): (Vec<_>, Vec<_>) = usable
        .map(|(authority, (anchor, validity))| ((authority, validity), anchor.clone()))
        .unzip();
    if anchors.is_empty() {
        return Err(Fault::NoAuthority);
    }
    if chain.len() > LONGEST {
        return Err(Fault::TooLong);
    }
    let (own, others) = chain.split_first().ok_or(Fault::Unreadable)?;
    let own = EndEntityCert::try_from(own).map_err(|_| Fault::Unreadable)?;
    let path = own.verify_for_usage(
        ALL_VERIFICATION_ALGS,
        &anchors,
        others,
        seconds(now),
        KeyUsage::client_auth(),
        None,
        None,
    );
    let path = path.map_err(|error| fault(&error))?;
    let mut ends = anchors.iter().zip(authorities);
    let end = ends.find(|(anchor, _)| *anchor == path.anchor());
    let (_, (authority, validity)) = end.ok_or(Fault::Stranger)?;
    let between = path.intermediate_certificates().map(|it| it.der());
    let on_the_way = [path.end_entity().der()].into_iter().chain(between);
    let validity = shared(validity, on_the_way).ok_or(Fault::Unreadable)?;
    Ok(Path {
        chain: chain.clone(),
        authority: authority.clone(),
        validity,
    })
}

/// When all of them are good.
fn shared<'a>(
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

fn fault(error: &webpki::Error) -> Fault {
    use webpki::Error;
    match error {
        Error::CertExpired { .. } => Fault::Expired,
        Error::CertNotValidYet { .. } => Fault::NotYetValid,
        Error::RequiredEkuNotFoundContext(_) | Error::CaUsedAsEndEntity => Fault::NotForClients,
        Error::BadDer | Error::BadDerTime | Error::TrailingData(_) => Fault::Unreadable,
        _ => Fault::Stranger,
    }
}
