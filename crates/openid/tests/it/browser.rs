//! A browser without scripts: follows redirects, keeps cookies, fills in forms.

use std::collections::BTreeMap;

use reqwest::header::{CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Client, Method, Response, Url};

/// Maximum number of pages and redirects on the way to an address.
const MAX_STEPS: usize = 20;

/// Browser with cookies of one host.
pub struct Browser {
    client: Client,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    /// Opens a browser without cookies.
    pub fn open() -> Self {
        let client = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build();
        Self {
            client: client.expect("a client"),
            cookies: BTreeMap::new(),
        }
    }

    /// Visits `address` and submits every form on the way with these values and with the buttons that have them, until a redirect leads to `end`. Returns the
    /// query of that redirect.
    pub async fn reach(&mut self, address: &str, end: &str, values: &[(&str, &str)]) -> String {
        let mut url: Url = address.parse().expect("an address");
        let mut form = None;
        for _ in 0..MAX_STEPS {
            let response = self.send(&url, form.take()).await;
            if let Some(location) = response.headers().get(LOCATION) {
                let location = location.to_str().expect("an address");
                url = url.join(location).expect("an address");
                if url.as_str().starts_with(end) {
                    return url.query().unwrap_or_default().to_owned();
                }
                continue;
            }
            let status = response.status();
            let page = response.text().await.expect("a page");
            assert!(status.is_success(), "{url}: {status}\n{page}");
            let (action, body) = filled_form(&page, values);
            url = url.join(&action).expect("an address");
            form = Some(body);
        }
        panic!("{address} does not lead to {end}");
    }

    async fn send(&mut self, url: &Url, form: Option<String>) -> Response {
        let method = if form.is_some() {
            Method::POST
        } else {
            Method::GET
        };
        let cookies: Vec<_> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let mut request = self.client.request(method, url.clone());
        request = request.header(COOKIE, cookies.join("; "));
        if let Some(form) = form {
            request = request
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(form);
        }
        let response = request.send().await.expect("a response");
        for cookie in response.headers().get_all(SET_COOKIE) {
            let cookie = cookie.to_str().expect("a cookie");
            let pair = cookie.split(';').next().expect("a pair");
            let (name, value) = pair.split_once('=').expect("a pair");
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        response
    }
}

/// Returns the action and the filled-in fields of the first form of a page.
fn filled_form(page: &str, values: &[(&str, &str)]) -> (String, String) {
    let start = page
        .find("<form")
        .unwrap_or_else(|| panic!("no form: {page}"));
    let form = &page[start..];
    let form = &form[..form.find("</form>").expect("the form ends")];
    let (head, inner) = form.split_once('>').expect("a tag");
    let mut fields = Vec::new();
    for input in inner.split("<input").skip(1) {
        let tag = input.split('>').next().expect("a tag");
        let Some(name) = attribute(tag, "name") else {
            continue;
        };
        let given = values.iter().find(|(known, _)| *known == name);
        let value = match given {
            Some((_, value)) => (*value).to_owned(),
            None => attribute(tag, "value").unwrap_or_default(),
        };
        fields.push(format!("{}={}", escape(&name), escape(&value)));
    }
    for button in page.split("<button").skip(1) {
        let tag = button.split('>').next().expect("a tag");
        let name = attribute(tag, "name").unwrap_or_default();
        let value = attribute(tag, "value").unwrap_or_default();
        if values.contains(&(name.as_str(), value.as_str())) {
            fields.push(format!("{}={}", escape(&name), escape(&value)));
        }
    }
    (
        attribute(head, "action").unwrap_or_default(),
        fields.join("&"),
    )
}

fn escape(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let start = tag.find(&format!(" {name}=\""))? + name.len() + 3;
    let value = tag[start..].split('"').next()?;
    Some(value.replace("&amp;", "&"))
}
