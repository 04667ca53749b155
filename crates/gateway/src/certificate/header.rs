//! The headers in which a proxy passes on the certificates of its client (RFC 9440).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName};
use rustls::pki_types::CertificateDer;

use super::CertificateChain;

const CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");
const CLIENT_CERT_CHAIN: HeaderName = HeaderName::from_static("client-cert-chain");

/// The error of a header, by its name, that is not in the form of RFC 9440.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MalformedHeader(HeaderName);

impl fmt::Display for MalformedHeader {
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

/// Returns the client's certificate and the intermediate ones; an empty chain if the proxy passes none on.
pub(super) fn chain(headers: &HeaderMap) -> Result<CertificateChain, MalformedHeader> {
    let mut own = headers.get_all(CLIENT_CERT).iter();
    let mut chain = match (own.next(), own.next()) {
        (None, _) => Vec::new(),
        (Some(value), None) => {
            let text = value.to_str().map_err(|_| MalformedHeader(CLIENT_CERT))?;
            vec![certificate(text.trim_matches(' ')).ok_or(MalformedHeader(CLIENT_CERT))?]
        }
        // One of them may be the client's forgery, and nothing shows which.
        (Some(_), Some(_)) => return Err(MalformedHeader(CLIENT_CERT)),
    };
    for value in headers.get_all(CLIENT_CERT_CHAIN) {
        let malformed = || MalformedHeader(CLIENT_CERT_CHAIN);
        let text = value.to_str().map_err(|_| malformed())?;
        for item in text.split(',') {
            let item = item.trim_matches([' ', '\t']);
            chain.push(certificate(item).ok_or_else(malformed)?);
        }
    }
    if headers.contains_key(CLIENT_CERT_CHAIN) && !headers.contains_key(CLIENT_CERT) {
        return Err(MalformedHeader(CLIENT_CERT_CHAIN));
    }
    Ok(chain.into())
}

/// Parses a byte sequence of a structured field (RFC 8941): base64 between colons, and nothing else.
fn certificate(item: &str) -> Option<CertificateDer<'static>> {
    let text = item.strip_prefix(':')?.strip_suffix(':')?;
    let bytes = STANDARD.decode(text).ok()?;
    (!bytes.is_empty()).then(|| bytes.into())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn read(pairs: &[(HeaderName, &'static str)]) -> Result<Vec<Vec<u8>>, MalformedHeader> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, HeaderValue::from_static(value));
        }
        let chain = chain(&headers)?;
        Ok(chain.iter().map(|it| it.to_vec()).collect())
    }

    #[test]
    fn chain_is_read() {
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
    fn malformed_header_is_refused() {
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
            let refused = Err(MalformedHeader(CLIENT_CERT));
            assert_eq!(read(&[(CLIENT_CERT, value)]), refused, "{value}");
        }
        for value in ["", ":Yg==:,", ",:Yg==:", ":Yg==: :Yw==:", "(:Yg==:)"] {
            let refused = Err(MalformedHeader(CLIENT_CERT_CHAIN));
            let both = [(CLIENT_CERT, ":YQ==:"), (CLIENT_CERT_CHAIN, value)];
            assert_eq!(read(&both), refused, "{value}");
        }
    }

    #[test]
    fn second_certificate_or_a_chain_without_one_is_refused() {
        let twice = [(CLIENT_CERT, ":YQ==:"), (CLIENT_CERT, ":YQ==:")];
        assert_eq!(read(&twice), Err(MalformedHeader(CLIENT_CERT)));
        let alone = [(CLIENT_CERT_CHAIN, ":YQ==:")];
        assert_eq!(read(&alone), Err(MalformedHeader(CLIENT_CERT_CHAIN)));
    }
}
