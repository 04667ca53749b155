//! Cookies: parsing of the `cookie` header, and values of `set-cookie`.

use http::{HeaderMap, HeaderValue, header};

/// Returns the value of the cookie `name`; the first one if the client sends several.
#[must_use]
pub fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let values = headers.get_all(header::COOKIE).iter();
    let texts = values.filter_map(|value| value.to_str().ok());
    let mut pairs = texts
        .flat_map(|text| text.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(own, _)| *own == name).map(|(_, value)| value)
}

/// A cookie to set: `HttpOnly`, `SameSite=Lax`, `Path=/`, for the session of the browser unless an age is set.
#[derive(Clone, Debug)]
pub struct SetCookie {
    name: &'static str,
    value: String,
    max_age_seconds: Option<i64>,
    is_secure: bool,
}

impl SetCookie {
    /// Creates a cookie. Characters of `value` that a cookie cannot hold make [`SetCookie::header`] return nothing.
    #[must_use]
    pub fn new(name: &'static str, value: impl Into<String>) -> Self {
        Self {
            name,
            value: value.into(),
            max_age_seconds: None,
            is_secure: false,
        }
    }

    /// Creates the cookie that makes a browser forget the cookie `name`.
    #[must_use]
    pub fn removal(name: &'static str) -> Self {
        Self::new(name, "").max_age(0)
    }

    /// Sets the age in seconds after which the browser forgets the cookie.
    #[must_use]
    pub fn max_age(mut self, seconds: i64) -> Self {
        self.max_age_seconds = Some(seconds);
        self
    }

    /// Restricts the cookie to https if `is_secure`. Names that begin with `__Host-` need it.
    #[must_use]
    pub fn secure(mut self, is_secure: bool) -> Self {
        self.is_secure = is_secure;
        self
    }

    /// Returns the value of the `set-cookie` header; `None` if the cookie's value has a character that no cookie can hold.
    #[must_use]
    pub fn header(&self) -> Option<HeaderValue> {
        let is_allowed = |byte: u8| byte.is_ascii_graphic() && !b"\",;\\".contains(&byte);
        if !self.value.bytes().all(is_allowed) {
            return None;
        }
        let mut text = format!(
            "{}={}; Path=/; HttpOnly; SameSite=Lax",
            self.name, self.value
        );
        if let Some(seconds) = self.max_age_seconds {
            text.push_str(&format!("; Max-Age={seconds}"));
        }
        if self.is_secure {
            text.push_str("; Secure");
        }
        let mut value = HeaderValue::try_from(text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("a=1;b=2; c=x=y"));
        headers.append(header::COOKIE, HeaderValue::from_static("d=; b=3"));
        for (name, expected) in [
            ("a", Some("1")),
            ("b", Some("2")),
            ("c", Some("x=y")),
            ("d", Some("")),
            ("e", None),
        ] {
            assert_eq!(cookie(&headers, name), expected, "{name}");
        }
    }

    #[test]
    fn a_cookie_is_kept_from_scripts_and_other_sites() {
        let header = |cookie: SetCookie| {
            cookie
                .header()
                .map(|value| value.to_str().map(str::to_owned))
        };
        let text = header(SetCookie::new("__Host-x", "v").max_age(60).secure(true));
        let expected = "__Host-x=v; Path=/; HttpOnly; SameSite=Lax; Max-Age=60; Secure";
        assert!(matches!(text, Some(Ok(text)) if text == expected));
        let removal = header(SetCookie::removal("x"));
        assert!(matches!(removal, Some(Ok(text)) if text.contains("Max-Age=0")));
    }

    #[test]
    fn a_value_cannot_add_attributes_or_headers() {
        for value in [
            "a; Domain=evil",
            "a\r\nset-cookie: b=1",
            "a b",
            "ä",
            "a,b",
            "\"a\"",
        ] {
            assert!(SetCookie::new("x", value).header().is_none(), "{value:?}");
        }
    }
}
