//! A browser without scripts: keeps cookies, sends forms, follows nothing by itself.

use std::collections::BTreeMap;

use axum::body::Body;
use base::ClientAddress;
use base::ids::OrganizationId;
use http::{HeaderMap, Method, Request, StatusCode, header};
use testkit::{Answer, Client, Server};

/// A browser at one address.
#[derive(Clone)]
pub(crate) struct Browser {
    client: Client,
    address: ClientAddress,
    cookies: BTreeMap<String, String>,
}

/// A page, or a redirect.
pub(crate) struct Page {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Page {
    fn of(answer: Answer) -> Self {
        Self {
            status: answer.status,
            headers: answer.headers,
            text: String::from_utf8_lossy(&answer.bytes).into_owned(),
        }
    }

    /// The target of a redirect.
    #[track_caller]
    pub(crate) fn location(&self) -> &str {
        assert_eq!(self.status, StatusCode::SEE_OTHER, "{}", self.text);
        let location = &self.headers[header::LOCATION];
        location.to_str().expect("a path")
    }

    /// Checks the status and a part of the text.
    #[track_caller]
    pub(crate) fn says(&self, status: u16, words: &str) {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        assert!(self.text.contains(words), "{words}: {}", self.text);
    }

    /// The values of `set-cookie`.
    pub(crate) fn set_cookies(&self) -> Vec<String> {
        let values = self.headers.get_all(header::SET_COOKIE).iter();
        let texts = values.map(|value| value.to_str().expect("text").to_owned());
        texts.collect()
    }

    /// The value of the field for a token.
    #[track_caller]
    pub(crate) fn token_field(&self) -> &str {
        let field = self
            .text
            .split_once("name=\"token\" type=\"text\" value=\"");
        let (_, rest) = field.expect("a field");
        rest.split('"').next().unwrap_or_default()
    }

    /// The value of a hidden field.
    #[track_caller]
    pub(crate) fn hidden(&self, name: &str) -> String {
        let start = format!("name=\"{name}\" value=\"");
        let (_, rest) = self.text.split_once(&start).expect(name);
        rest.split('"').next().unwrap_or_default().to_owned()
    }
}

impl Browser {
    pub(crate) fn new(server: &Server) -> Self {
        Self::at(server, "192.0.2.1")
    }

    pub(crate) fn at(server: &Server, address: &str) -> Self {
        Self {
            client: server.anonymous(),
            address: ClientAddress(address.parse().expect("an address")),
            cookies: BTreeMap::new(),
        }
    }

    pub(crate) fn cookie(&self, name: &str) -> Option<&String> {
        self.cookies.get(name)
    }

    pub(crate) fn set_cookie(&mut self, name: &str, value: &str) {
        self.cookies.insert(name.to_owned(), value.to_owned());
    }

    pub(crate) fn forget(&mut self) {
        self.cookies.clear();
    }

    fn request(&self, method: Method, path: &str) -> http::request::Builder {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::USER_AGENT, "Mozilla/5.0 (X11; Linux x86_64)")
            .extension(self.address);
        if !self.cookies.is_empty() {
            let pairs = self.cookies.iter();
            let pairs: Vec<_> = pairs
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            request = request.header(header::COOKIE, pairs.join("; "));
        }
        request
    }

    pub(crate) async fn get(&mut self, path: &str) -> Page {
        let request = self.request(Method::GET, path).body(Body::empty());
        self.send(request.expect("a request")).await
    }

    /// Sends a form as a page of the server does.
    pub(crate) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        self.post_from(path, fields, &[("sec-fetch-site", "same-origin")])
            .await
    }

    /// Sends a form with these headers, which tell the page that it is from.
    pub(crate) async fn post_from(
        &mut self,
        path: &str,
        fields: &[(&str, &str)],
        headers: &[(&'static str, &str)],
    ) -> Page {
        let mut request = self
            .request(Method::POST, path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let encode = |text: &str| -> String {
            let bytes = text.bytes().map(|byte| format!("%{byte:02X}"));
            bytes.collect()
        };
        let fields = fields.iter();
        let body: Vec<_> = fields
            .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
            .collect();
        let request = request.body(Body::from(body.join("&")));
        self.send(request.expect("a request")).await
    }

    async fn send(&mut self, request: Request<Body>) -> Page {
        let page = Page::of(self.client.send(request).await);
        for cookie in page.set_cookies() {
            let pair = cookie.split(';').next().unwrap_or_default();
            let (name, value) = pair.split_once('=').expect("a cookie");
            if cookie.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.set_cookie(name, value);
            }
        }
        page
    }

    /// Signs in with a link that is made for an address, as by the command.
    pub(crate) async fn sign_in(&mut self, server: &Server, email: &str) -> Page {
        let token = link(server, email).await;
        let page = self.post("/sign-in/link", &[("token", &token)]).await;
        assert_eq!(page.location(), "/");
        page
    }

    /// True if the session in the cookies is valid.
    pub(crate) async fn is_signed_in(&mut self) -> bool {
        let page = self.get("/sign-in?target=/inside").await;
        page.status == StatusCode::SEE_OTHER && page.location() == "/inside"
    }
}

/// Makes a link for an address; returns its token.
pub(crate) async fn link(server: &Server, email: &str) -> String {
    link_in(server, email, Some(server.organization_id())).await
}

/// Makes a link for an address in an organization, or in the only one that has it; returns its token.
pub(crate) async fn link_in(
    server: &Server,
    email: &str,
    organization: Option<&OrganizationId>,
) -> String {
    use admin::credentials::links::{LinkOrigin, NewLink};
    let services = server.services();
    let new = NewLink {
        store: &services.store,
        pepper: &services.pepper,
        ids: &services.ids,
        clock: &services.clock,
        entropy: &services.entropy,
        origin: LinkOrigin::Command,
    };
    let made = new.for_address(email, organization).await;
    made.expect("a link").token.reveal()
}
