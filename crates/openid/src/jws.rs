//! Compact JSON web signatures: parsed, and not believed before a key of the provider has verified the signature.

use serde::Deserialize;

use crate::algorithm::Algorithm;
use crate::encoding::from_base64url;
use crate::{OpenIdError, Reason, Result};

/// Maximum length of a token.
const MAX_TOKEN_BYTES: usize = 128 * 1024;
/// Maximum length of the header of a token, encoded.
const MAX_HEADER_BYTES: usize = 8 * 1024;
/// Maximum length of `kid`.
const MAX_KEY_ID_BYTES: usize = 1024;

/// Token whose signature is not verified yet.
pub(crate) struct UnverifiedToken<'token> {
    pub(crate) algorithm: Algorithm,
    pub(crate) key_id: Option<String>,
    /// Type of the token, if the header names one.
    pub(crate) media_type: Option<String>,
    /// Text that the signature covers.
    pub(crate) signed: &'token str,
    pub(crate) signature: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<serde_json::Value>,
}

impl<'token> UnverifiedToken<'token> {
    /// Parses a token.
    ///
    /// # Errors
    /// The token is malformed or too long, its algorithm is not allowed, or it has critical extensions.
    pub(crate) fn parse(token: &'token str) -> Result<Self> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(malformed("the token is too long"));
        }
        let (signed, signature) = split(token)?;
        let (header, payload) = split(signed)?;
        if header.len() > MAX_HEADER_BYTES || payload.contains('.') {
            return Err(malformed("the token has not three parts"));
        }
        let decoded =
            |part| from_base64url(part).ok_or_else(|| malformed("the token is not base64url"));
        let header: Header = serde_json::from_slice(&decoded(header)?)
            .map_err(|_| malformed("the token has no header in JSON"))?;
        let algorithm = Algorithm::named(&header.alg)
            .ok_or_else(|| OpenIdError::new(Reason::Algorithm, base::shown(&header.alg)))?;
        if header.crit.is_some() {
            return Err(malformed("the token has critical extensions"));
        }
        if header
            .kid
            .as_ref()
            .is_some_and(|kid| kid.len() > MAX_KEY_ID_BYTES)
        {
            return Err(malformed("the token's key id is too long"));
        }
        Ok(Self {
            algorithm,
            key_id: header.kid,
            media_type: header.typ,
            signed,
            signature: decoded(signature)?,
            payload: decoded(payload)?,
        })
    }
}

fn split(text: &str) -> Result<(&str, &str)> {
    let parts = text.rsplit_once('.');
    parts.ok_or_else(|| malformed("the token has not three parts"))
}

fn malformed(detail: &str) -> OpenIdError {
    OpenIdError::new(Reason::Malformed, detail)
}
