//! The Administration API: reads and audited writes, beside `/healthz`, which does nothing.

use anyhow::Result;
use serde_json::json;

use super::bench::Bench;
use super::figures::{hundredths, median, milliseconds, table, whole};
use super::goal::{Goal, Section};
use super::server::{ADMIN_KEY, Server};
use super::wrk::{Figures, Request};
use crate::step::say;

const CONNECTION_COUNT: u64 = 32;
/// Number of projects of a page of the list.
const PAGE_LEN: usize = 20;
/// Number of projects of the organization before the measured creations.
const PROJECT_COUNT: usize = 100_000;
const PROJECTS: &str = "/v1/organization/projects";

/// An operation and what was measured of it, round by round.
struct Operation {
    name: &'static str,
    method: &'static str,
    path: String,
    /// Ends of the path, in turn.
    endings: Vec<String>,
    /// True if the operation is called before it is measured.
    is_warmed: bool,
    body: String,
    samples: Vec<OperationSample>,
}

struct OperationSample {
    figures: Figures,
    /// CPU time for each request in microseconds.
    cpu: f64,
}

/// Measures each operation in turn, round after round.
pub fn measure(bench: &Bench) -> Result<Section> {
    let server = Server::start(bench, "admin", bench.cores.measured, "")?;
    let mut admin = server.admin()?;
    let mut projects = Vec::with_capacity(PROJECT_COUNT);
    for number in 0..PROJECT_COUNT {
        projects.push(server.project(&mut admin, &format!("Project {number}"))?);
    }
    let mut operations = operations(&projects);
    let mut durable = match bench.engine.is_sqlite() {
        true => Some(Durable::start(bench)?),
        false => None,
    };
    for round in 1..=bench.rounds {
        say(&format!(
            "administration: round {round} of {}",
            bench.rounds
        ));
        for operation in &mut operations {
            operation.measure(bench, &server)?;
        }
        if let Some(Durable { server, create }) = &mut durable {
            create.measure(bench, server)?;
        }
    }
    let [.., create] = &operations;
    let written = create.samples.iter().map(|sample| sample.figures.requests);
    let durable = durable.iter().map(|durable| &durable.create);
    let text = format!(
        "### Administration API\n\n{CONNECTION_COUNT} connections, {} where not said otherwise; {} projects were \
         created while that was measured.\n\n{}",
        bench.engine.describe(),
        whole(written.sum::<u64>() as f64),
        described(operations.iter().chain(durable), &operations[0])
    );
    Ok(Section {
        text,
        goals: goals(&operations),
        ..Section::default()
    })
}

/// A server whose commits wait for the disk, and what is measured of it.
struct Durable {
    server: Server,
    create: Operation,
}

impl Durable {
    fn start(bench: &Bench) -> Result<Self> {
        Ok(Self {
            server: Server::start_synchronous(bench, "admin-full", bench.cores.measured)?,
            create: Operation {
                name: "the same, with `synchronous=FULL`",
                ..create()
            },
        })
    }
}

fn goals([idle, reads @ .., create]: &[Operation; 8]) -> Vec<Goal> {
    let reads = reads.iter().map(|read| {
        let what = format!("{}: requests/s × healthz", read.name);
        Goal::at_least(what, 0.6, read.ratio(idle), hundredths)
    });
    let writes = Goal::at_least("audited writes/s", 3_000.0, create.rate(), whole);
    reads.chain([writes]).collect()
}

fn described<'a>(operations: impl Iterator<Item = &'a Operation>, idle: &Operation) -> String {
    let rows: Vec<_> = operations.map(|operation| operation.row(idle)).collect();
    let head = [
        "",
        "requests/s",
        "× healthz",
        "p50 ms",
        "p99 ms",
        "CPU µs/request",
    ];
    table(&head, &rows)
}

/// Returns the measured operations: one that does nothing, then reads, then a write.
fn operations(projects: &[String]) -> [Operation; 8] {
    let get = |name, path: &str, endings: &[String]| Operation {
        name,
        method: "GET",
        path: path.to_owned(),
        endings: endings.to_vec(),
        is_warmed: true,
        body: String::new(),
        samples: Vec::new(),
    };
    let anew = |name, path: &str, endings: &[String]| Operation {
        is_warmed: false,
        ..get(name, path, endings)
    };
    let (one, list) = (
        format!("{PROJECTS}/"),
        format!("{PROJECTS}?limit={PAGE_LEN}"),
    );
    let page = format!("{list}&after=");
    let pages: Vec<_> = projects.iter().step_by(PAGE_LEN).cloned().collect();
    // More than twice as many questions as can be kept, none of them asked before: what follows the ids says nothing.
    let new = ["?a", "?b", "?c"].map(|end| projects.iter().map(move |id| format!("{id}{end}")));
    let new: Vec<_> = new.into_iter().flatten().collect();
    [
        get("`GET /healthz`", "/healthz", &[]),
        get("retrieve a project", &format!("{one}{}", projects[0]), &[]),
        get("list 20 projects", &list, &[]),
        get("retrieve each of 100,000 projects", &one, projects),
        get("list each page of 20 of them", &page, &pages),
        anew("retrieve a project, not kept", &one, &new),
        // Each begins one project later: ten times as many as can be kept.
        anew("list 20 projects, not kept", &page, projects),
        create(),
    ]
}

fn create() -> Operation {
    Operation {
        name: "create a project (audited)",
        method: "POST",
        path: PROJECTS.to_owned(),
        endings: Vec::new(),
        is_warmed: true,
        body: json!({ "name": "Written by wrk" }).to_string(),
        samples: Vec::new(),
    }
}

impl Operation {
    fn measure(&mut self, bench: &Bench, server: &Server) -> Result<()> {
        if self.is_warmed {
            self.drive(bench, server, bench.warm_up())?;
        }
        let sample = self.drive(bench, server, bench.seconds)?;
        self.samples.push(sample);
        Ok(())
    }

    fn drive(&self, bench: &Bench, server: &Server, seconds: u64) -> Result<OperationSample> {
        let request = Request {
            method: self.method,
            path: &self.path,
            endings: &self.endings,
            key: ADMIN_KEY,
            headers: &[],
            body: &self.body,
        };
        let cpu = server.process.cpu()?;
        let figures = request.drive(bench, &server.address, CONNECTION_COUNT, seconds)?;
        let cpu = (server.process.cpu()? - cpu) as f64 / figures.requests as f64;
        Ok(OperationSample { figures, cpu })
    }

    fn rate(&self) -> f64 {
        median(self.samples.iter().map(|sample| sample.figures.rate))
    }

    fn ratio(&self, idle: &Self) -> f64 {
        let rounds = self.samples.iter().zip(&idle.samples);
        median(rounds.map(|(own, idle)| own.figures.rate / idle.figures.rate))
    }

    fn row(&self, idle: &Self) -> Vec<String> {
        let of = |figure: fn(&OperationSample) -> f64| median(self.samples.iter().map(figure));
        vec![
            self.name.to_owned(),
            whole(self.rate()),
            hundredths(self.ratio(idle)),
            milliseconds(of(|sample| sample.figures.p50)),
            milliseconds(of(|sample| sample.figures.p99)),
            format!("{:.1}", of(|sample| sample.cpu)),
        ]
    }
}
