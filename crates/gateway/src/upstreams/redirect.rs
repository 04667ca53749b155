//! Redirects of upstreams, in words for the operator.

use http::header::LOCATION;
use http::{HeaderMap, StatusCode, Uri};

/// The longest part of an address that is shown, in characters.
const MAX_SHOWN: usize = 200;

/// What is wrong with an answer that is none: it points elsewhere, or says nothing. `asked` is the path that was asked for
/// below the base URL.
pub(super) fn reason(status: StatusCode, headers: &HeaderMap, asked: &str) -> String {
    let code = status.as_u16();
    let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
    let Some(location) = location.map(without_secrets) else {
        return format!("it answered with status {code}, which is no answer");
    };
    let base = location.strip_suffix('/').unwrap_or(&location);
    let base = base.strip_suffix(asked).filter(|base| base.contains("://"));
    let hint = base.map(|base| format!("; base_url should be {base} if that is the same server"));
    let hint = hint.unwrap_or_default();
    format!("it answered with a redirect ({code}) to {location}{hint}")
}

/// An address without what may be secret in it: a user, a query, a fragment.
fn without_secrets(location: &str) -> String {
    let end = location.find(['?', '#']).unwrap_or(location.len());
    let location = &location[..end];
    let is_named = Uri::try_from(location).is_ok_and(|uri| {
        let authority = uri.authority();
        authority.is_some_and(|authority| authority.as_str().contains('@'))
    });
    let shown = match location.split_once("://") {
        Some((scheme, rest)) if is_named => {
            let rest = rest.split_once('@').map_or(rest, |(_, rest)| rest);
            format!("{scheme}://{rest}")
        }
        _ => location.to_owned(),
    };
    let visible = shown.chars().filter(|character| !character.is_control());
    visible.take(MAX_SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, location: Option<&str>) -> String {
        let mut headers = HeaderMap::new();
        if let Some(location) = location {
            headers.insert(LOCATION, location.parse().expect("a value"));
        }
        let status = StatusCode::from_u16(status).expect("a status");
        reason(status, &headers, "/chat/completions")
    }

    #[test]
    fn redirects_name_where_they_point_and_what_to_set() {
        for (status, location, words) in [
            (
                307,
                Some("https://h.example/v1/chat/completions"),
                "it answered with a redirect (307) to https://h.example/v1/chat/completions; base_url should be \
                 https://h.example/v1 if that is the same server",
            ),
            (
                308,
                Some("https://h.example/v1/chat/completions/"),
                "it answered with a redirect (308) to https://h.example/v1/chat/completions/; base_url should be \
                 https://h.example/v1 if that is the same server",
            ),
            (
                302,
                Some("/login?token=secret#x"),
                "it answered with a redirect (302) to /login",
            ),
            (
                302,
                Some("https://me:pw@h.example/a?b"),
                "it answered with a redirect (302) to https://h.example/a",
            ),
            (304, None, "it answered with status 304, which is no answer"),
        ] {
            assert_eq!(of(status, location), words);
        }
        assert!(of(301, Some(&"x".repeat(9_000))).len() < 300);
    }
}
