//! Every page that links lead to, one of each kind, and what it takes to load it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::Read;

use anyhow::{Context, Result, bail};

use super::super::figures::milliseconds;
use super::super::figures::whole;
use super::super::http::{Answer, Client};
use super::at;
use crate::step::instant;

/// Path of the first page.
const START: &str = "/console";
/// Number of times that each page is read, and before that.
pub const READ_COUNT: usize = 30;
const WARM_UP_COUNT: usize = 3;
/// Maximum number of kinds of pages; more mean that an id was not told from a name.
const MAX_PAGES: usize = 300;

/// A page with its figures.
pub struct Page {
    pub path: String,
    /// The path with `{id}` in place of ids.
    pub shape: String,
    /// Microseconds of each reading.
    times: Vec<f64>,
    /// Bytes with everything that the page refers to, and alone.
    pub first_bytes: usize,
    pub next_bytes: usize,
    /// Milliseconds until the largest part is painted, at the first visit and the next.
    pub paints: [Option<f64>; 2],
}

impl Page {
    pub fn p95(&self) -> f64 {
        at(&self.times, 95.0)
    }

    /// True for pages whose time grows with the time that they are about.
    pub fn is_report(&self) -> bool {
        ["/console/usage", "/console/costs"]
            .iter()
            .any(|path| self.path.starts_with(path))
    }

    pub fn row(&self) -> Vec<String> {
        vec![
            format!("`{}`", self.shape),
            milliseconds(at(&self.times, 50.0)),
            milliseconds(self.p95()),
            whole(self.first_bytes as f64),
            whole(self.next_bytes as f64),
            whole(self.paints[0].unwrap_or(f64::NAN)),
            whole(self.paints[1].unwrap_or(f64::NAN)),
        ]
    }
}

/// Reads the first page and every kind of page that a link leads to.
pub fn crawl(visitor: &mut Client) -> Result<Vec<Page>> {
    let (mut pages, mut assets) = (Vec::new(), BTreeMap::new());
    let mut waiting = VecDeque::from([START.to_owned()]);
    let mut seen = BTreeSet::from([shape(START)]);
    while let Some(path) = waiting.pop_front() {
        let answer = visitor.fetch(&path)?;
        if !is_page(&answer) {
            continue;
        }
        let html = text(&answer).with_context(|| path.clone())?;
        for link in attributes(&html, "href").filter(|link| link.starts_with(START)) {
            if is_download(&link) || !seen.insert(shape(&link)) {
                continue;
            }
            if seen.len() > MAX_PAGES {
                bail!("too many kinds of pages, the last is {}", shape(&link));
            }
            waiting.push_back(link);
        }
        let mut first_bytes = answer.body.len();
        let parts = attributes(&html, "href").chain(attributes(&html, "src"));
        for part in parts
            .filter(|part| part.starts_with("/assets/"))
            .collect::<BTreeSet<_>>()
        {
            if !assets.contains_key(&part) {
                assets.insert(part.clone(), visitor.fetch(&part)?.body.len());
            }
            first_bytes += assets[&part];
        }
        let mut times = Vec::with_capacity(READ_COUNT);
        for reading in 0..WARM_UP_COUNT + READ_COUNT {
            let started = instant();
            visitor.fetch(&path)?;
            if reading >= WARM_UP_COUNT {
                times.push(started.elapsed().as_secs_f64() * 1e6);
            }
        }
        pages.push(Page {
            shape: shape(&path),
            next_bytes: answer.body.len(),
            path,
            times,
            first_bytes,
            paints: [None, None],
        });
    }
    Ok(pages)
}

fn is_page(answer: &Answer) -> bool {
    let mut kinds = answer.values("content-type");
    answer.status == 200 && kinds.any(|kind| kind.starts_with("text/html"))
}

/// True for links to files.
fn is_download(link: &str) -> bool {
    link.contains("format=") || link.contains("/sign-out")
}

/// Returns the page as text, which may be compressed.
fn text(answer: &Answer) -> Result<String> {
    if answer.values("content-encoding").any(|kind| kind == "gzip") {
        let mut command = std::process::Command::new("gzip");
        command.arg("-dc").stdin(std::process::Stdio::piped());
        let mut child = command.stdout(std::process::Stdio::piped()).spawn()?;
        let mut input = child.stdin.take().context("its input is piped")?;
        let compressed = answer.body.clone();
        let writer = std::thread::spawn(move || std::io::Write::write_all(&mut input, &compressed));
        let mut text = String::new();
        child
            .stdout
            .take()
            .context("its output is piped")?
            .read_to_string(&mut text)?;
        child.wait()?;
        // A writer that fails leaves a text that is cut off, which `gzip` reports.
        drop(writer.join());
        return Ok(text);
    }
    Ok(String::from_utf8_lossy(&answer.body).into_owned())
}

/// Returns the values of an attribute, without fragments.
fn attributes<'a>(html: &'a str, name: &str) -> impl Iterator<Item = String> + use<'a> {
    let parts = html
        .split(&format!(" {name}=\""))
        .skip(1)
        .collect::<Vec<_>>();
    parts.into_iter().filter_map(|rest| {
        let value = rest
            .split('"')
            .next()?
            .replace("&amp;", "&")
            .replace("&#38;", "&");
        Some(value.split('#').next()?.to_owned())
    })
}

/// Returns the path without its query, and with `{id}` in place of ids.
fn shape(link: &str) -> String {
    let path = link.split('?').next().unwrap_or(link).trim_end_matches('/');
    let segments = path
        .split('/')
        .map(|segment| if is_id(segment) { "{id}" } else { segment });
    segments.collect::<Vec<_>>().join("/")
}

/// True for ids: they have a prefix, and digits or more than a word behind it.
fn is_id(segment: &str) -> bool {
    const PREFIXES: [&str; 14] = [
        "proj_",
        "user-",
        "user_",
        "key_",
        "group_",
        "role_",
        "role-",
        "rl-",
        "invite-",
        "cert_",
        "alert_",
        "audit_log-",
        "svc_acct_",
        "sess_",
    ];
    PREFIXES.iter().any(|prefix| segment.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_pages_are_told_apart_by_what_is_no_id() {
        assert_eq!(
            shape("/console/projects/proj_1/users?a=b"),
            "/console/projects/{id}/users"
        );
        assert_eq!(shape("/console/projects/"), "/console/projects");
        assert_eq!(
            shape("/console/roles/role-api-project-member"),
            "/console/roles/{id}"
        );
        assert_eq!(
            shape("/console/service_accounts"),
            "/console/service_accounts"
        );
    }

    #[test]
    fn links_are_read_from_attributes() {
        let html = r#"<a href="/console/a?b=1&amp;c=2#d">x</a><a class="y" href="/console">z</a>"#;
        let links: Vec<_> = attributes(html, "href").collect();
        assert_eq!(links, ["/console/a?b=1&c=2", "/console"]);
    }
}
