//! A request to four targets in turn: the model server itself, nginx in front of it, another gateway, and `orgplane`.

use anyhow::{Result, bail};

use super::bench::Bench;
use super::figures::{hundredths, median, milliseconds, table, whole};
use super::http::Client;
use super::nginx::{INPUT_TOKEN_COUNT, Nginx, OUTPUT_TOKEN_COUNT};
use super::portkey::Portkey;
use super::server::{ADMIN_KEY, Server, upstreams};
use super::wrk::{Figures, Request};
use crate::step::say;

/// Servers in front of the model server.
pub struct Setting {
    /// The model server.
    pub upstream: Nginx,
    /// nginx as a proxy that does nothing else.
    pub proxy: Nginx,
    /// Another gateway, with nothing on.
    pub other: Portkey,
    /// The gateway with everything on.
    pub gateway: Server,
    /// A project's key for it.
    pub key: String,
}

/// A request as the model server and the gateway are sent it.
pub struct ModelRequest<'a> {
    /// Name on the terminal.
    pub name: &'a str,
    /// Path at the model server, and at nginx in front of it.
    pub direct: &'a str,
    /// The request's body.
    pub body: &'a str,
    /// True if the answer is a stream.
    pub is_stream: bool,
}

/// The path of chat completions at the gateway.
const GATEWAY_PATH: &str = "/v1/chat/completions";
const TARGETS: [&str; 4] = ["bare upstream", "nginx as a proxy", "Portkey", "orgplane"];
/// Index of Portkey; it is not asked for streams, which it did not pass on from this model server.
const PORTKEY_ID: usize = 2;
/// Index of `orgplane`.
const OWN_ID: usize = 3;

/// Figures of one target in one round.
#[derive(Clone, Copy, Default)]
struct TargetSample {
    figures: Figures,
    /// CPU time of the proxy for each request, in microseconds.
    cpu: f64,
    /// CPU time of the database system for each request, in microseconds.
    database_cpu: f64,
}

type Round = [TargetSample; TARGETS.len()];

/// The rounds of one number of connections, each with its targets.
pub struct Compared {
    rounds: Vec<Round>,
}

impl ModelRequest<'_> {
    fn is_for(&self, target: usize) -> bool {
        target != PORTKEY_ID || !self.is_stream
    }
}

impl Setting {
    /// Starts all of it.
    pub fn start(bench: &Bench) -> Result<Self> {
        let upstream = Nginx::upstream(bench)?;
        let proxy = Nginx::proxy(bench, &upstream.address)?;
        let other = Portkey::start(bench)?;
        let core = bench.cores.measured;
        let gateway = Server::start(bench, "gateway", core, &upstreams(&upstream.address))?;
        let mut admin = gateway.admin()?;
        let project = gateway.project(&mut admin, "Load")?;
        gateway.unlimited(&mut admin, &project)?;
        let key = gateway.key(&mut admin, &project, "wrk")?;
        Ok(Self {
            upstream,
            proxy,
            other,
            gateway,
            key,
        })
    }

    /// Puts the question to all of them, round after round, over each of these numbers of connections.
    pub fn compare<const N: usize>(
        &self,
        bench: &Bench,
        question: &ModelRequest<'_>,
        connections: [u64; N],
    ) -> Result<[Compared; N]> {
        let mut admin = Client::connect(&self.gateway.address, ADMIN_KEY)?;
        for target in (0..TARGETS.len()).filter(|target| question.is_for(*target)) {
            self.ask(bench, question, target, 32, bench.warm_up(), &mut admin)?;
        }
        let mut all = connections.map(|_| Compared { rounds: Vec::new() });
        for round in 1..=bench.rounds {
            say(&format!(
                "{}: round {round} of {}",
                question.name, bench.rounds
            ));
            for (compared, connections) in all.iter_mut().zip(connections) {
                let mut samples = Round::default();
                let targets = samples.iter_mut().enumerate();
                for (target, sample) in targets.filter(|(target, _)| question.is_for(*target)) {
                    let seconds = bench.seconds;
                    *sample =
                        self.ask(bench, question, target, connections, seconds, &mut admin)?;
                }
                compared.rounds.push(samples);
            }
        }
        Ok(all)
    }

    fn ask(
        &self,
        bench: &Bench,
        question: &ModelRequest<'_>,
        target: usize,
        connections: u64,
        seconds: u64,
        admin: &mut Client,
    ) -> Result<TargetSample> {
        let (address, process, path) = match target {
            0 => (
                &self.upstream.address,
                &self.upstream.process,
                question.direct,
            ),
            1 => (&self.proxy.address, &self.proxy.process, question.direct),
            2 => (&self.other.address, &self.other.process, GATEWAY_PATH),
            _ => (&self.gateway.address, &self.gateway.process, GATEWAY_PATH),
        };
        let base = question.direct.trim_end_matches("/chat/completions");
        let request = Request {
            endings: &[],
            method: "POST",
            path,
            key: &self.key,
            headers: &Portkey::headers(&format!("http://{}{base}", self.upstream.address)),
            body: question.body,
        };
        let metered = self.gateway.metered(admin)?;
        let (cpu, database) = (process.cpu()?, bench.engine.cpu()?);
        let figures = request.drive(bench, address, connections, seconds)?;
        let cpu = process.cpu()? - cpu;
        let asked = if target == OWN_ID {
            figures.requests
        } else {
            0
        };
        let most = if target == OWN_ID { connections } else { 0 };
        let after = self.gateway.settled(admin, metered.requests + asked)?;
        let count = |after: u64, before: u64| after - before;
        let rows = count(after.requests, metered.requests);
        let input = count(after.input, metered.input);
        let output = count(after.output, metered.output);
        agree(asked, most, rows, (input, output))?;
        // What the gateway has answered is written soon after, and in the ledger by now.
        let database = bench.engine.cpu()? - database;
        Ok(TargetSample {
            figures,
            cpu: cpu as f64 / figures.requests as f64,
            database_cpu: database as f64 / figures.requests as f64,
        })
    }
}

/// Fails unless the ledger has every request that was answered, besides at most those that were under way
/// when the load generator hung up, and the tokens of each.
fn agree(answered: u64, under_way: u64, rows: u64, (input, output): (u64, u64)) -> Result<()> {
    let exact = answered..=answered + under_way;
    let tokens = input >= answered * INPUT_TOKEN_COUNT && output >= answered * OUTPUT_TOKEN_COUNT;
    let whole =
        rows > answered || (input, output) == (rows * INPUT_TOKEN_COUNT, rows * OUTPUT_TOKEN_COUNT);
    if exact.contains(&rows) && tokens && whole {
        return Ok(());
    }
    bail!(
        "{answered} requests were answered and at most {under_way} under way, the ledger has {rows} rows with {input} \
         and {output} tokens: they do not agree"
    )
}

impl Compared {
    /// Returns the targets that were asked, and their names.
    fn targets(&self) -> impl Iterator<Item = (usize, &'static &'static str)> {
        let asked = |target: usize| self.median(|round| round[target].figures.rate) > 0.0;
        let targets = TARGETS.iter().enumerate();
        targets.filter(move |(target, _)| asked(*target))
    }

    fn median(&self, of: impl Fn(&Round) -> f64) -> f64 {
        median(self.rounds.iter().map(of))
    }

    /// Returns the ratio of the gateway's requests/s to nginx's.
    pub fn ratio(&self) -> f64 {
        self.median(|[_, nginx, .., ours]| ours.figures.rate / nginx.figures.rate)
    }

    /// Returns the gateway's CPU time for each request, in microseconds.
    pub fn cpu(&self) -> f64 {
        self.median(|[.., ours]| ours.cpu)
    }

    /// Returns the CPU time of the database system for each request of the gateway, in microseconds.
    pub fn database_cpu(&self) -> f64 {
        self.median(|[.., ours]| ours.database_cpu)
    }

    /// Returns the microseconds that the gateway adds to the bare model server's median.
    pub fn added(&self) -> f64 {
        self.median(|[bare, .., ours]| ours.figures.p50 - bare.figures.p50)
    }

    /// Returns the microseconds by which the gateway's p99 exceeds nginx's.
    pub fn tail(&self) -> f64 {
        self.median(|[_, nginx, .., ours]| ours.figures.p99 - nginx.figures.p99)
    }

    /// Returns a table of requests in a second and their CPU time.
    pub fn rates(&self) -> String {
        let row = |(target, name): (usize, &&str)| {
            let rate = |target: usize| move |round: &Round| round[target].figures.rate;
            let ratio = |other: usize| {
                hundredths(self.median(|round| rate(target)(round) / rate(other)(round)))
            };
            let latency = |of: fn(&Figures) -> f64| {
                milliseconds(self.median(|round| of(&round[target].figures)))
            };
            vec![
                (*name).to_owned(),
                whole(self.median(rate(target))),
                ratio(0),
                ratio(1),
                latency(|figures| figures.p50),
                latency(|figures| figures.p99),
                format!("{:.1}", self.median(|round| round[target].cpu)),
            ]
        };
        let rows: Vec<_> = self.targets().map(row).collect();
        let head = [
            "",
            "requests/s",
            "× bare",
            "× nginx",
            "p50 ms",
            "p99 ms",
            "CPU µs/request",
        ];
        table(&head, &rows)
    }

    /// Returns a table of the latency that each target adds to the bare model server's.
    pub fn latencies(&self) -> String {
        let row = |(target, name): (usize, &&str)| {
            let of = |figure: fn(&Figures) -> f64| {
                let value = milliseconds(self.median(|round| figure(&round[target].figures)));
                let added =
                    self.median(|round| figure(&round[target].figures) - figure(&round[0].figures));
                [value, milliseconds(added)]
            };
            let ([p50, more50], [p99, more99]) = (of(|one| one.p50), of(|one| one.p99));
            vec![(*name).to_owned(), p50, more50, p99, more99]
        };
        let rows: Vec<_> = self.targets().map(row).collect();
        table(&["", "p50 ms", "added", "p99 ms", "added"], &rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ledger_has_what_was_answered_and_what_was_under_way() {
        let tokens = |rows: u64| (rows * INPUT_TOKEN_COUNT, rows * OUTPUT_TOKEN_COUNT);
        assert!(agree(100, 32, 100, tokens(100)).is_ok());
        assert!(agree(100, 32, 132, tokens(132)).is_ok());
        assert!(agree(0, 0, 0, (0, 0)).is_ok());
        for (rows, tokens) in [
            (99, tokens(99)),
            (133, tokens(133)),
            (100, tokens(99)),
            (100, tokens(101)),
        ] {
            assert!(agree(100, 32, rows, tokens).is_err(), "{rows} {tokens:?}");
        }
    }
}
