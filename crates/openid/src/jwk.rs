//! Keys of a provider: JSON web keys, and the verification of signatures with them.

use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256,
    RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::Deserialize;
use serde_json::Value;

use crate::algorithm::Algorithm;
use crate::encoding::from_base64url;
use crate::jws::UnverifiedToken;
use crate::{OpenIdError, Reason, Result};

/// Maximum number of keys that are tried for a token.
const MAX_CANDIDATES: usize = 16;
/// Length of a coordinate of the curve P-256.
const COORDINATE_BYTES: usize = 32;

/// Keys of a provider.
pub(crate) struct KeySet(Vec<Key>);

struct Key {
    id: Option<String>,
    algorithm: Option<String>,
    material: KeyMaterial,
}

enum KeyMaterial {
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
    /// Uncompressed point.
    P256(Vec<u8>),
    Ed25519(Vec<u8>),
}

#[derive(Deserialize)]
struct RawKeySet {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct RawKey {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// Parses a JSON web key set. Keys of other types and for other purposes are left out.
    ///
    /// # Errors
    /// The bytes are not a key set.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self> {
        let set: RawKeySet = serde_json::from_slice(bytes)
            .map_err(|_| OpenIdError::new(Reason::Malformed, "the provider's keys"))?;
        let keys = set.keys.into_iter().filter_map(Key::parse);
        Ok(Self(keys.collect()))
    }

    /// Returns the number of keys.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// True if one of these keys made the token's signature.
    pub(crate) fn verifies(&self, token: &UnverifiedToken<'_>) -> bool {
        let fits = |key: &&Key| match (&token.key_id, &key.id) {
            (Some(wanted), Some(id)) => wanted == id,
            _ => true,
        };
        let mut candidates = self.0.iter().filter(fits).take(MAX_CANDIDATES);
        candidates.any(|key| key.verifies(token))
    }
}

impl Key {
    fn parse(value: Value) -> Option<Self> {
        let raw: RawKey = serde_json::from_value(value).ok()?;
        if raw.usage.is_some_and(|usage| usage != "sig") {
            return None;
        }
        let bytes = |text: Option<String>| from_base64url(&text?);
        let material = match (raw.kty.as_str(), raw.crv.as_deref()) {
            ("RSA", _) => KeyMaterial::Rsa {
                modulus: without_zeros(bytes(raw.n)?),
                exponent: without_zeros(bytes(raw.e)?),
            },
            ("EC", Some("P-256")) => {
                let (x, y) = (bytes(raw.x)?, bytes(raw.y)?);
                if x.len() != COORDINATE_BYTES || y.len() != COORDINATE_BYTES {
                    return None;
                }
                KeyMaterial::P256([&[4], x.as_slice(), &y].concat())
            }
            ("OKP", Some("Ed25519")) => KeyMaterial::Ed25519(bytes(raw.x)?),
            _ => return None,
        };
        Some(Self {
            id: raw.kid,
            algorithm: raw.alg,
            material,
        })
    }

    fn verifies(&self, token: &UnverifiedToken<'_>) -> bool {
        // A key that is meant for one algorithm verifies no other one.
        let own = self.algorithm.as_deref();
        if own.is_some_and(|own| Algorithm::named(own) != Some(token.algorithm)) {
            return false;
        }
        let (signed, signature) = (token.signed.as_bytes(), token.signature.as_slice());
        let rsa = |parameters: &'static RsaParameters, modulus, exponent| {
            let key = RsaPublicKeyComponents {
                n: modulus,
                e: exponent,
            };
            key.verify(parameters, signed, signature).is_ok()
        };
        match (token.algorithm, &self.material) {
            (Algorithm::Rs256, KeyMaterial::Rsa { modulus, exponent }) => {
                rsa(&RSA_PKCS1_2048_8192_SHA256, modulus, exponent)
            }
            (Algorithm::Ps256, KeyMaterial::Rsa { modulus, exponent }) => {
                rsa(&RSA_PSS_2048_8192_SHA256, modulus, exponent)
            }
            (Algorithm::Es256, KeyMaterial::P256(point)) => {
                let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
                key.verify(signed, signature).is_ok()
            }
            (Algorithm::EdDsa, KeyMaterial::Ed25519(key)) => {
                let key = UnparsedPublicKey::new(&ED25519, key);
                key.verify(signed, signature).is_ok()
            }
            _ => false,
        }
    }
}

/// Removes leading zeros, which some providers send and the format forbids.
fn without_zeros(bytes: Vec<u8>) -> Vec<u8> {
    bytes.into_iter().skip_while(|byte| *byte == 0).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Modulus of an RSA key that made the signatures of [`RS256`] and [`PS256`].
    const MODULUS: &str = "n2M1T28NGrrzyBLd9wIJ39PVDmPPB8SkELAGlnDmtRfFd-ri6brbHBuEMs1Y8iHimxgy3YM283LASjTI1ZK2M3sgWZPC03aLbNNMdniM_LQxGYDC-oXl_Qh-IwEVjBsE0eql65qYtebhrqcBa8aSTvo1vcRTQOzhkQ1xbNtOW_KqQL_ILa402uJYu5ZJ5DTUHavgU8Aj98NNkxG48nj3w3uT4PGmq-kdBS_89zf_Fg4NN6tPQyMIzs-3u7VRUk3aJmwXflh9Z5Q2Kn0Jub-8ijUYrwhDQMO30jQ9qG-xDc1RKhbpsHtsiNaHR6XIlgdxAmHZirBncfAlJc-bOGZLlQ";
    const RS256: &str = "eyJhbGciOiJSUzI1NiJ9.e30.UCTzCHiLJDZzxWsHBG2mh4KIm4XPSXWnSeqATSCCLnfGhEX7U2GSIulmzDVn-22GiPsn-0Wbl4Bgqc2ZUmS23jY6sOS4kLT8PrjnnGBZoRlacK_lvKcpSLgTKNbMI_yQ7p0MzI0dyYjxrgVGdwyW_LwlQGdkLEl9wpZ1PTTmwEFCIrSs4mXMv-MfSdI3PSgl9dr6rnfHXntRq1AfzbbOZyVasfCV04YqDB82pinxxPc6dEFWnahE5n6cssBMfJEAtdGTgsQmoRHItSl2kgsjm53kXPF9u-6MXFuDtAz0MdYWklLHrImFRnUusmRvItiqbe5D7DNJE2lGXX7RpE9roA";
    const PS256: &str = "eyJhbGciOiJQUzI1NiJ9.e30.ebxXufkniV5-woXye6YX7OKqhy2P9zX7vjY5Me_khYTyga-T9zX9mkGUaXlX9WGQvI-FIQwMojFk_Vmnbgzm52nQAsEw7o3tvdH0RCqXP1odq_nmpDm9Xvt0xozXHhW-i0ku5nbL4Ba9OkXIbwDNeDFwb5re-8iONM7IBCxutDjUKjJocm3h-WJnuCo8pGCMVW88uExt2jRbIq23tMEuKjpcCR4xhsNnalS__kDDHgKGRUAdBollQRkhhyVZor8Bf_bJvjXpZ-z3SVEBhb4pscV2U0KWfdHiA7ASsvA1FfwMyicnU9qB8f6FH7XYQhoyjoAjVaFFnwhPaKRvtYyknQ";

    fn verifies(key: &Value, token: &str) -> bool {
        let keys = KeySet::parse(json!({ "keys": [key] }).to_string().as_bytes());
        let token = UnverifiedToken::parse(token).expect("a token");
        keys.expect("a key set").verifies(&token)
    }

    #[test]
    fn rsa_signatures_of_both_paddings_are_verified() {
        let key = json!({"kty": "RSA", "n": MODULUS, "e": "AQAB"});
        assert!(verifies(&key, RS256) && verifies(&key, PS256));
        let modulus = from_base64url(MODULUS).expect("a modulus");
        let with_zero = crate::encoding::base64url(&[&[0], modulus.as_slice()].concat());
        assert!(verifies(
            &json!({"kty": "RSA", "n": with_zero, "e": "AQAB"}),
            RS256
        ));
        for token in [RS256, PS256] {
            let changed = token.replacen(".e30.", ".W10.", 1);
            assert!(!verifies(&key, &changed));
            let half = token.len() - 200;
            let cut = format!("{}A{}", &token[..half], &token[half + 1..]);
            assert!(token == cut || !verifies(&key, &cut));
        }
    }

    #[test]
    fn padding_and_algorithm_of_a_key_are_not_mixed() {
        let swapped = [(RS256, "PS256"), (PS256, "RS256")];
        for (token, other) in swapped {
            let key = json!({"kty": "RSA", "n": MODULUS, "e": "AQAB", "alg": other});
            assert!(!verifies(&key, token));
            let signature = token.rsplit_once('.').expect("a token").1;
            let header = crate::encoding::base64url(json!({"alg": other}).to_string().as_bytes());
            let key = json!({"kty": "RSA", "n": MODULUS, "e": "AQAB"});
            assert!(!verifies(&key, &format!("{header}.e30.{signature}")));
        }
    }

    #[test]
    fn keys_for_encryption_verify_nothing() {
        let key = json!({"kty": "RSA", "n": MODULUS, "e": "AQAB", "use": "enc"});
        assert!(!verifies(&key, RS256));
    }
}
