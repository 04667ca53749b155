//! The API that an upstream speaks, and the header that carries its key.

use http::HeaderName;
use http::header::AUTHORIZATION;

/// Header with the API key in Anthropic's API.
const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// API that an upstream speaks. Requests of one are never translated into the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ApiFormat {
    /// OpenAI's API.
    #[default]
    OpenAi,
    /// Anthropic's Messages API.
    Anthropic,
}

/// Header that carries an upstream's API key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyHeader {
    /// `authorization`, as a bearer token.
    Authorization,
    /// `x-api-key`.
    XApiKey,
}

impl ApiFormat {
    /// Every format, in the order of [`ApiFormat::index`].
    pub(crate) const ALL: [Self; 2] = [Self::OpenAi, Self::Anthropic];

    /// Returns the position in [`ApiFormat::ALL`].
    pub(crate) fn index(self) -> usize {
        self as usize
    }

    /// Returns the header that carries API keys unless the configuration names another.
    pub(crate) fn key_header(self) -> KeyHeader {
        match self {
            Self::OpenAi => KeyHeader::Authorization,
            Self::Anthropic => KeyHeader::XApiKey,
        }
    }
}

impl KeyHeader {
    /// Returns the name of the header.
    pub(crate) fn name(self) -> HeaderName {
        match self {
            Self::Authorization => AUTHORIZATION,
            Self::XApiKey => X_API_KEY,
        }
    }

    /// Returns what the header has in front of the key.
    pub(crate) fn prefix(self) -> &'static str {
        match self {
            Self::Authorization => "Bearer ",
            Self::XApiKey => "",
        }
    }
}
