//! `--debug`: the heads of requests and responses on stderr, without secrets.

use std::io::Write;

use http::header::{AUTHORIZATION, COOKIE, LOCATION, PROXY_AUTHORIZATION, SET_COOKIE};
use http::{HeaderMap, HeaderName, Request, Response};

/// The headers whose values are not shown.
const SECRET: [HeaderName; 5] = [
    AUTHORIZATION,
    COOKIE,
    LOCATION,
    PROXY_AUTHORIZATION,
    SET_COOKIE,
];

/// Writes the head of a request to stderr.
pub fn request<B>(request: &Request<B>) {
    let uri = request.uri();
    let address = uri.path_and_query().map_or("/", |path| path.as_str());
    let head = format!("{} {address} {:?}", request.method(), request.version());
    let host = uri.authority().map_or("", |authority| authority.as_str());
    write(
        "Request",
        &format!("{head}\nhost: {host}\n{}", redacted(request.headers())),
    );
}

/// Writes the head of a response to stderr.
pub fn response<B>(response: &Response<B>) {
    let head = format!("{:?} {}", response.version(), response.status());
    write(
        "Response",
        &format!("{head}\n{}", redacted(response.headers())),
    );
}

/// A closed stderr is no error.
fn write(title: &str, text: &str) {
    let _ = writeln!(std::io::stderr(), "{title} Content:\n{text}");
}

fn redacted(headers: &HeaderMap) -> String {
    let line = |(name, value): (&HeaderName, &http::HeaderValue)| {
        let value = String::from_utf8_lossy(value.as_bytes());
        let is_secret = SECRET.contains(name) || name.as_str().contains("api-key");
        match (is_secret, value.starts_with("Bearer ")) {
            (true, true) => format!("{name}: Bearer <REDACTED>\n"),
            (true, false) => format!("{name}: <REDACTED>\n"),
            (false, _) => format!("{name}: {value}\n"),
        }
    };
    headers.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::redacted;

    #[test]
    fn secrets_are_not_shown() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("authorization", "Bearer sk-admin-hidden"),
            ("set-cookie", "session=hidden"),
            ("proxy-authorization", "Basic hidden"),
            ("x-api-key", "hidden"),
            ("x-request-id", "req_1"),
        ] {
            headers.insert(name, value.parse().expect("a value"));
        }
        let shown = redacted(&headers);
        assert!(!shown.contains("hidden"), "{shown}");
        assert!(
            shown.contains("authorization: Bearer <REDACTED>\n"),
            "{shown}"
        );
        assert!(shown.contains("x-request-id: req_1\n"), "{shown}");
    }
}
