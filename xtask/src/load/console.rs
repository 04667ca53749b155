//! The pages of the console in a large organization: the server's time and the bytes of each page that a link leads to,
//! and what loading them costs the gateway.

mod crawl;
mod paint;
mod people;

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use anyhow::{Context, Result, anyhow};

use super::bench::{Bench, pause};
use super::events::{Population, Sizes};
use super::figures::{milliseconds, percentile, table, whole};
use super::gateway::body;
use super::goal::{Goal, Section};
use super::http::Client;
use super::models::price_book;
use super::nginx::Nginx;
use super::sending::send;
use super::server::{MODEL, Server, upstreams};
use super::wrk::{Figures, Request};
use crate::step::say;
use crawl::{Page, crawl};

/// An organization of 2,000 projects; each of its 4,000 callers has two keys.
const LARGE: Sizes = Sizes {
    projects: 2_000,
    users_per_project: 2,
    keys_per_user: 2,
};
/// Number of people, with those who call no model.
const PEOPLE_COUNT: usize = 5_000;
/// Number of days that the events lie in.
const DAY_COUNT: u64 = 365;
/// Number of events of one request.
const BATCH_LEN: u64 = 10_000;
/// Bounds of a page: the server's time in microseconds, and bytes with all that it refers to, and alone.
const MAX_TIME: f64 = 50_000.0;
const MAX_FIRST_BYTES: f64 = 60_000.0;
const MAX_NEXT_BYTES: f64 = 20_000.0;
/// Ratio that the gateway's p99 may have while pages are loaded to the p99 without.
const MAX_SLOWDOWN: f64 = 1.5;

/// Fills the organization, reads every page, then sends requests to the gateway with and without readers of pages.
pub fn measure(bench: &Bench) -> Result<Section> {
    let total = bench.events.iter().copied().max().unwrap_or(0);
    say(&format!("console: {} events", whole(total as f64)));
    let upstream = Nginx::upstream(bench)?;
    let configuration = upstreams(&upstream.address) + &price_book("2024-01-01");
    let server = Server::start(bench, "console", bench.cores.measured, &configuration)?;
    let population = Population::settle(&server, LARGE, DAY_COUNT, total)?;
    send(&[&server.address], &population, 0..total, BATCH_LEN)?;
    let mut admin = server.admin()?;
    let project = server.project(&mut admin, "Load")?;
    server.unlimited(&mut admin, &project)?;
    let key = server.key(&mut admin, &project, "wrk")?;
    let owner = people::owner(&mut admin)?;
    drop(admin);
    let people = people::names(&population, PEOPLE_COUNT);
    let core = bench.cores.measured;
    let server = server.restart_after(bench, core, |file| people::insert(file, &people))?;
    let session = people::sign_in(bench, &server, &owner)?;
    let mut visitor = connect(&server, &session)?;
    say("console: pages");
    let mut pages = crawl(&mut visitor)?;
    say("console: paints in Chromium");
    paint::measure(bench, &server, &session, &mut pages)?;
    let [alone, beside] = gateway(bench, &server, &key, &session, &pages)?;
    let text = described(total, &pages, alone, beside);
    server.remove(bench)?;
    Ok(Section {
        text,
        goals: goals(&pages, alone, beside),
        ..Section::default()
    })
}

/// Returns the host and port of the address for people, at which alone the pages work.
fn public_host(server: &Server) -> String {
    server.address.replace("127.0.0.1", "localhost")
}

/// Connects as a browser that has signed in does.
fn connect(server: &Server, session: &str) -> Result<Client> {
    let host = public_host(server);
    let headers = [
        ("Host", host.as_str()),
        ("Cookie", session),
        ("Accept-Encoding", "gzip"),
        ("Sec-Fetch-Site", "same-origin"),
    ];
    Client::connect_with(&server.address, &headers)
}

/// Sends requests to the gateway, without and with a visitor who loads one page after the other.
fn gateway(
    bench: &Bench,
    server: &Server,
    key: &str,
    session: &str,
    pages: &[Page],
) -> Result<[Figures; 2]> {
    let body = body(MODEL, false);
    let request = Request {
        method: "POST",
        path: "/v1/chat/completions",
        endings: &[],
        key,
        headers: &[],
        body: &body,
    };
    let drive = |seconds| request.drive(bench, &server.address, 1, seconds);
    drive(bench.warm_up())?;
    let alone = drive(bench.seconds)?;
    let is_over = AtomicBool::new(false);
    let mut visitor = connect(server, session)?;
    let beside = std::thread::scope(|scope| {
        let visit = scope.spawn(|| -> Result<()> {
            for page in pages.iter().cycle() {
                if is_over.load(Relaxed) {
                    break;
                }
                visitor.fetch(&page.path)?;
                pause();
            }
            Ok(())
        });
        let beside = drive(bench.seconds);
        is_over.store(true, Relaxed);
        visit
            .join()
            .map_err(|_| anyhow!("the visitor panicked"))??;
        beside
    })?;
    Ok([alone, beside])
}

/// Returns the page that comes closest to a bound, or is farthest beyond it.
fn worst(pages: &[Page], figure: impl Fn(&Page) -> f64) -> Option<(&Page, f64)> {
    let figures = pages.iter().map(|page| (page, figure(page)));
    figures.max_by(|(_, one), (_, other)| one.total_cmp(other))
}

fn goals(pages: &[Page], alone: Figures, beside: Figures) -> Vec<Goal> {
    let of_pages = [
        (
            "console: slowest page but reports over a year, p95 ms",
            MAX_TIME,
            worst(
                pages,
                |page| if page.is_report() { 0.0 } else { page.p95() },
            ),
            milliseconds as fn(f64) -> String,
        ),
        (
            "console: largest page, first visit, bytes",
            MAX_FIRST_BYTES,
            worst(pages, |page| page.first_bytes as f64),
            whole,
        ),
        (
            "console: largest page, next visit, bytes",
            MAX_NEXT_BYTES,
            worst(pages, |page| page.next_bytes as f64),
            whole,
        ),
    ];
    let of_pages = of_pages.map(|(what, bound, worst, show)| {
        let (path, found) = worst.map_or(("", f64::NAN), |(page, found)| (&page.shape, found));
        Goal::at_most(format!("{what} (`{path}`)"), bound, found, show)
    });
    let slowdown = Goal::at_most(
        "gateway: p99 while pages are loaded ÷ without",
        MAX_SLOWDOWN,
        beside.p99 / alone.p99,
        |ratio| format!("{ratio:.2}"),
    );
    of_pages.into_iter().chain([slowdown]).collect()
}

fn described(total: u64, pages: &[Page], alone: Figures, beside: Figures) -> String {
    let rows: Vec<_> = pages.iter().map(Page::row).collect();
    let pages = table(
        &[
            "page",
            "p50 ms",
            "p95 ms",
            "first visit bytes",
            "next visit bytes",
            "first paint ms",
            "next paint ms",
        ],
        &rows,
    );
    let of = |name: &str, figures: Figures| {
        let Figures { rate, p50, p99, .. } = figures;
        vec![
            name.to_owned(),
            whole(rate),
            milliseconds(p50),
            milliseconds(p99),
        ]
    };
    let rows = [
        of("no pages", alone),
        of("a page every 50 ms, each in turn", beside),
    ];
    let gateway = table(
        &["gateway, one connection", "requests/s", "p50 ms", "p99 ms"],
        &rows,
    );
    format!(
        "### Console\n\n{} projects, {} people, {} events in {DAY_COUNT} days. Every page that a link leads to from the first one, {} \
         times each over one connection, compressed; `first visit` is with all that the page refers to. Paints are the largest contentful ones, in Chromium without a \
         picture, once each.\n\n{pages}\n{gateway}",
        whole(LARGE.projects as f64),
        whole(PEOPLE_COUNT as f64),
        whole(total as f64),
        crawl::READ_COUNT,
    )
}

/// Returns the percentile of some times in microseconds.
fn at(times: &[f64], percent: f64) -> f64 {
    percentile(times.iter().copied(), percent)
}

/// Returns the part of a text between two others.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Result<&'a str> {
    let (_, rest) = text
        .split_once(before)
        .with_context(|| format!("no {before:?}"))?;
    let (found, _) = rest
        .split_once(after)
        .with_context(|| format!("no {after:?}"))?;
    Ok(found)
}
