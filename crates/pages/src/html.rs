//! HTML responses.

use axum::body::Body;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use crate::Link;
use crate::cookie::SetCookie;
use crate::headers::{REDIRECTING_POLICY, STRICT_POLICY, secure};

/// An HTML page, with the security headers.
#[derive(Debug)]
pub struct Html {
    status: StatusCode,
    body: String,
    policy: &'static str,
    headers: HeaderMap,
}

impl Html {
    /// Renders a template; 500 with a plain page if a value of the template fails to print.
    #[must_use]
    pub fn render(template: &impl askama::Template) -> Self {
        match template.render() {
            Ok(body) => Self::of(body),
            Err(_) => Self::of("The page could not be rendered.".to_owned())
                .status(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }

    fn of(body: String) -> Self {
        Self {
            status: StatusCode::OK,
            body,
            policy: STRICT_POLICY,
            headers: HeaderMap::new(),
        }
    }

    /// Sets the status.
    #[must_use]
    pub fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// Sets a cookie. A cookie that has no valid form is left out.
    #[must_use]
    pub fn cookie(mut self, cookie: &SetCookie) -> Self {
        add_cookie(&mut self.headers, cookie);
        self
    }

    /// Allows forms of the page to end in a redirect to another server, as sign-in with a provider does.
    #[must_use]
    pub fn with_outward_forms(mut self) -> Self {
        self.policy = REDIRECTING_POLICY;
        self
    }

    /// Returns the HTML text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.body
    }

    /// Converts the page into a response.
    #[must_use]
    pub fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        secure(response.headers_mut(), self.policy);
        response
    }
}

fn add_cookie(headers: &mut HeaderMap, cookie: &SetCookie) {
    if let Some(value) = cookie.header() {
        headers.append(header::SET_COOKIE, value);
    }
}

/// Returns 303 to `target`, after which the browser shows the target with `GET`. Each cookie is set.
#[must_use]
pub fn redirect<'a>(
    target: &Link,
    cookies: impl IntoIterator<Item = &'a SetCookie>,
) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    let headers = response.headers_mut();
    secure(headers, STRICT_POLICY);
    let location = HeaderValue::try_from(target.to_string());
    headers.insert(
        header::LOCATION,
        location.unwrap_or(HeaderValue::from_static("/")),
    );
    for cookie in cookies {
        add_cookie(headers, cookie);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_has_the_security_headers() {
        let page = Html::of("<!doctype html>".to_owned()).into_response();
        let headers = page.headers();
        let policy = headers[header::CONTENT_SECURITY_POLICY]
            .to_str()
            .expect("text");
        for part in [
            "default-src 'none'",
            "frame-ancestors 'none'",
            "form-action 'self'",
            "base-uri 'none'",
        ] {
            assert!(policy.contains(part), "{part}");
        }
        assert!(!policy.contains("unsafe"));
        assert_eq!(headers[header::CACHE_CONTROL], "no-store");
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(headers[header::REFERRER_POLICY], "same-origin");
        assert_eq!(headers["cross-origin-opener-policy"], "same-origin");
        let outward = Html::of(String::new()).with_outward_forms().into_response();
        let policy = outward.headers()[header::CONTENT_SECURITY_POLICY].to_str();
        assert!(policy.is_ok_and(|policy| !policy.contains("form-action")));
    }

    #[test]
    fn a_redirect_is_see_other_with_its_cookies() {
        let target = Link::new(["console"]).query("a", "b c");
        let response = redirect(&target, [&SetCookie::new("n", "v")]);
        assert_eq!(response.status(), StatusCode::SEE_OTHER);
        assert_eq!(response.headers()[header::LOCATION], "/console?a=b%20c");
        assert!(response.headers().contains_key(header::SET_COOKIE));
    }
}
