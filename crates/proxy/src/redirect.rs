//! Description of redirects for the operator. Redirects are not followed: they would take a request past the gateway's checks.

use http::header::LOCATION;
use http::{HeaderMap, StatusCode, Uri};

/// Maximum length of a URL in a description, in characters.
const MAX_URL_LEN: usize = 200;

/// Describes a response with an unexpected status, such as a redirect to the right `base_url`. `path` is the requested path,
/// below the base URL.
pub(crate) fn describe(status: StatusCode, headers: &HeaderMap, path: &str) -> String {
    let code = status.as_u16();
    let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
    let Some(location) = location.map(without_secrets) else {
        return format!("unexpected status {code}");
    };
    let base = location.strip_suffix('/').unwrap_or(&location);
    let base = base.strip_suffix(path).filter(|base| base.contains("://"));
    let hint = base.map(|base| format!("; base_url should be {base} if that is the same server"));
    let hint = hint.unwrap_or_default();
    format!("redirect ({code}) to {location}{hint}")
}

/// Removes user, query, fragment and control characters of a URL, and bounds its length.
fn without_secrets(location: &str) -> String {
    let end = location.find(['?', '#']).unwrap_or(location.len());
    let location = &location[..end];
    let has_user = Uri::try_from(location).is_ok_and(|uri| {
        let authority = uri.authority();
        authority.is_some_and(|authority| authority.as_str().contains('@'))
    });
    let shown = match location.split_once("://") {
        Some((scheme, rest)) if has_user => {
            let rest = rest.split_once('@').map_or(rest, |(_, rest)| rest);
            format!("{scheme}://{rest}")
        }
        _ => location.to_owned(),
    };
    let visible = shown.chars().filter(|character| !character.is_control());
    visible.take(MAX_URL_LEN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(status: u16, location: Option<&str>) -> String {
        let mut headers = HeaderMap::new();
        if let Some(location) = location {
            headers.insert(LOCATION, location.parse().expect("a value"));
        }
        let status = StatusCode::from_u16(status).expect("a status");
        describe(status, &headers, "/chat/completions")
    }

    #[test]
    fn description_of_a_redirect_names_its_location_and_the_base_url_to_set() {
        for (status, location, expected) in [
            (
                307,
                Some("https://h.example/v1/chat/completions"),
                "redirect (307) to https://h.example/v1/chat/completions; base_url should be \
                 https://h.example/v1 if that is the same server",
            ),
            (
                308,
                Some("https://h.example/v1/chat/completions/"),
                "redirect (308) to https://h.example/v1/chat/completions/; base_url should be \
                 https://h.example/v1 if that is the same server",
            ),
            (
                302,
                Some("/login?token=secret#x"),
                "redirect (302) to /login",
            ),
            (
                302,
                Some("https://me:pw@h.example/a?b"),
                "redirect (302) to https://h.example/a",
            ),
            (304, None, "unexpected status 304"),
        ] {
            assert_eq!(described(status, location), expected);
        }
        assert!(described(301, Some(&"x".repeat(9_000))).len() < 300);
    }
}
