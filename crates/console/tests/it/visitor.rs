//! A visitor of the console: a browser with the cookie of a session, without scripts.

use axum::body::Body;
use base::ids::UserId;
use http::{HeaderMap, Method, Request, StatusCode, header};
use testkit::{Answer, Client, Server};

/// A browser that is signed in.
#[derive(Clone)]
pub struct Visitor {
    client: Client,
    token: String,
}

/// A page.
#[derive(Debug)]
pub struct Page {
    pub path: String,
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub html: String,
}

impl Visitor {
    /// Signs a user in.
    pub async fn sign_in(server: &Server, user: &UserId) -> Self {
        Self {
            client: server.anonymous(),
            token: server.sign_in(user).await,
        }
    }

    /// Signs the owner of the organization in.
    pub async fn owner(server: &Server) -> Self {
        Self::sign_in(server, server.owner_id()).await
    }

    /// Returns the token of the session.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Follows a link.
    pub async fn get(&self, path: &str) -> Page {
        self.send(Method::GET, path, &[], "").await
    }

    /// Sends a form of the same site.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        let body: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{}={}", encoded(name), encoded(value)))
            .collect();
        let site = [("sec-fetch-site", "same-origin")];
        self.send(Method::POST, path, &site, &body.join("&")).await
    }

    /// Sends a form and follows the redirect that says what was changed.
    ///
    /// # Panics
    /// The form is not answered by a redirect.
    #[track_caller]
    pub fn follow(&self, page: Page) -> impl Future<Output = Page> {
        let status = page.status;
        assert_eq!(status, StatusCode::SEE_OTHER, "{}", page.text());
        let target = page.header("location").to_owned();
        let notice = page.header("set-cookie");
        let notice = notice.split(';').next().unwrap_or_default().to_owned();
        drop(page);
        let visitor = self.clone();
        async move {
            let cookie = format!("{}; {notice}", visitor.cookie());
            visitor
                .request(Method::GET, &target, &[("cookie", &cookie)], "")
                .await
        }
    }

    /// Sends any request with the cookie of the session.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Page {
        let cookie = self.cookie();
        let mut all = vec![("cookie", cookie.as_str())];
        all.extend(headers);
        self.request(method, path, &all, body).await
    }

    /// Follows a link with these headers. The answer is as it is sent, which may be compressed.
    pub async fn bytes(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::builder().uri(path).header("cookie", self.cookie());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).expect("a request");
        self.client.send(request).await
    }

    fn cookie(&self) -> String {
        format!("__Host-orgplane={}", self.token)
    }

    /// Sends any request.
    pub async fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Page {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_owned()));
        let answer = self.client.send(request.expect("a request")).await;
        Page {
            path: path.to_owned(),
            status: answer.status,
            headers: answer.headers,
            html: String::from_utf8(answer.bytes).expect("UTF-8"),
        }
    }
}

impl Page {
    /// Returns a header; empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().expect("visible ASCII"))
    }

    /// Asserts a successful answer.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(
            self.status,
            StatusCode::OK,
            "{}: {}",
            self.path,
            self.text()
        );
        self
    }

    /// Returns the text of the main part without markup, on one line.
    pub fn text(&self) -> String {
        let main = self
            .html
            .split_once("<main")
            .map_or(&*self.html, |(_, rest)| rest);
        let main = main.split_once("</main>").map_or(main, |(main, _)| main);
        let mut text = String::new();
        let mut is_tag = true;
        for character in main.chars() {
            match character {
                '<' => is_tag = true,
                '>' if is_tag => {
                    is_tag = false;
                    text.push(' ');
                }
                other if !is_tag => text.push(other),
                _ => {}
            }
        }
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Asserts that the text of the main part contains words.
    #[track_caller]
    pub fn says(&self, words: &str) -> &Self {
        let text = self.text();
        assert!(
            text.contains(words),
            "{}: {words:?} is not in {text}",
            self.path
        );
        self
    }

    /// Returns the values of an attribute, in order, without references.
    pub fn attributes(&self, name: &str) -> Vec<String> {
        let start = format!(" {name}=\"");
        let parts = self.html.split(&*start).skip(1);
        parts
            .filter_map(|part| part.split_once('"'))
            .map(|(value, _)| plain(value))
            .collect()
    }

    /// Returns the targets of links in the main part.
    pub fn links(&self) -> Vec<String> {
        self.attributes("href")
    }

    /// Returns the first link whose target contains a text.
    ///
    /// # Panics
    /// There is none.
    #[track_caller]
    pub fn link(&self, part: &str) -> String {
        let found = self.links().into_iter().find(|link| link.contains(part));
        found.unwrap_or_else(|| panic!("{}: no link has {part}: {:?}", self.path, self.links()))
    }
}

/// Returns a text without references to characters.
pub fn plain(text: &str) -> String {
    let mut plain = text.to_owned();
    for (reference, character) in [
        ("&#60;", "<"),
        ("&#62;", ">"),
        ("&#34;", "\""),
        ("&#39;", "'"),
        ("&#38;", "&"),
    ] {
        plain = plain.replace(reference, character);
    }
    plain
}

/// Encodes a name or a value of a form.
pub fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
