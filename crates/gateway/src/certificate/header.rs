//! The headers in which a proxy passes on what its client showed (RFC 9440).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName};
use rustls::pki_types::CertificateDer;

use super::Chain;

const CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");
const CLIENT_CERT_CHAIN: HeaderName = HeaderName::from_static("client-cert-chain");

/// The header with this name is not what RFC 9440 says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed(HeaderName);

impl fmt::Display for Malformed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = if self.0 == CLIENT_CERT {
            "Client-Cert"
        } else {
            "Client-Cert-Chain"
        };
        write!(
            formatter,
            "the header {header} of the proxy before this server is not in the form of RFC 9440"
        )
    }
}

/// The client's certificate and those that it was issued with; empty when the proxy says nothing of one.
pub(super) fn chain(headers: &HeaderMap) -> Result<Chain, Malformed> {
    let mut own = headers.get_all(CLIENT_CERT).iter();
    let mut chain = match (own.next(), own.next()) {
        (None, _) => Vec::new(),
        (Some(value), None) => {
            let text = value.to_str().map_err(|_| Malformed(CLIENT_CERT))?;
            vec![certificate(text.trim_matches(' ')).ok_or(Malformed(CLIENT_CERT))?]
        }
        // A client's own beside the proxy's, perhaps: nobody can tell them apart.
        (Some(_), Some(_)) => return Err(Malformed(CLIENT_CERT)),
    };
    for value in headers.get_all(CLIENT_CERT_CHAIN) {
        let malformed = || Malformed(CLIENT_CERT_CHAIN);
        let text = value.to_str().map_err(|_| malformed())?;
        for item in text.split(',') {
            let item = item.trim_matches([' ', '\t']);
            chain.push(certificate(item).ok_or_else(malformed)?);
        }
    }
    if headers.contains_key(CLIENT_CERT_CHAIN) && !headers.contains_key(CLIENT_CERT) {
        return Err(Malformed(CLIENT_CERT_CHAIN));
    }
    Ok(chain.into())
}

/// A byte sequence of a structured field (RFC 8941): base64 between colons, and nothing else.
fn certificate(item: &str) -> Option<CertificateDer<'static>> {
    let text = item.strip_prefix(':')?.strip_suffix(':')?;
    let bytes = STANDARD.decode(text).ok()?;
    (!bytes.is_empty()).then(|| bytes.into())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn read(pairs: &[(HeaderName, &'static str)]) -> Result<Vec<Vec<u8>>, Malformed> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, HeaderValue::from_static(value));
        }
        let chain = chain(&headers)?;
        Ok(chain.iter().map(|it| it.to_vec()).collect())
    }

    #[test]
    fn a_chain_is_read() {
        assert_eq!(read(&[]), Ok(vec![]));
        assert_eq!(read(&[(CLIENT_CERT, ":YWI=:")]), Ok(vec![b"ab".to_vec()]));
        let all = [
            (CLIENT_CERT, " :YQ==: "),
            (CLIENT_CERT_CHAIN, ":Yg==: ,\t:Yw==:"),
            (CLIENT_CERT_CHAIN, ":ZA==:"),
        ];
        let expected: Vec<Vec<u8>> = b"abcd".iter().map(|byte| vec![*byte]).collect();
        assert_eq!(read(&all), Ok(expected));
    }

    #[test]
    fn what_is_not_in_the_form_is_refused() {
        for value in [
            "",
            ":",
            "::",
            "YQ==",
            ":YQ==",
            "YQ==:",
            ":YQ:",
            ":YR==:",
            ":Y Q==:",
            ":Y_-=:",
            ":YQ==:;a=1",
            ":YQ==:, :Yg==:",
            "\":YQ==:\"",
            "-----BEGIN CERTIFICATE-----",
        ] {
            let refused = Err(Malformed(CLIENT_CERT));
            assert_eq!(read(&[(CLIENT_CERT, value)]), refused, "{value}");
        }
        for value in ["", ":Yg==:,", ",:Yg==:", ":Yg==: :Yw==:", "(:Yg==:)"] {
            let refused = Err(Malformed(CLIENT_CERT_CHAIN));
            let both = [(CLIENT_CERT, ":YQ==:"), (CLIENT_CERT_CHAIN, value)];
            assert_eq!(read(&both), refused, "{value}");
        }
    }

    #[test]
    fn there_is_one_certificate_and_its_chain_does_not_come_alone() {
        let twice = [(CLIENT_CERT, ":YQ==:"), (CLIENT_CERT, ":YQ==:")];
        assert_eq!(read(&twice), Err(Malformed(CLIENT_CERT)));
        let alone = [(CLIENT_CERT_CHAIN, ":YQ==:")];
        assert_eq!(read(&alone), Err(Malformed(CLIENT_CERT_CHAIN)));
    }
}
