//! The world of the simulation: clients, nodes, a database, and everything that happens to them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use slices::{Amounts, Reservation, Safeguards};

use crate::database::{Database, WINDOW_LEN};
use crate::node::{Call, ClientRequest, Limits, Node, Reply, Verdict};
use crate::random::Random;
use crate::scenario::{Outcome, Scenario};

const NAMES: [&str; 2] = ["real", "alias"];
/// The milliseconds between two looks of a node for what is due.
const TICK_INTERVAL: f64 = 100.0;
const PROLONG_INTERVAL: f64 = 900.0;
/// The milliseconds after which a node gives up on a call.
const CALL_TIMEOUT: f64 = 300.0;

/// An event, by the index of its node.
pub enum Event {
    Arrive,
    Fault,
    Copy,
    StepClock(i64),
    Kill(usize),
    Prolong(usize),
    Tick(usize),
    Request(usize, ClientRequest),
    Serve {
        node: usize,
        life: u64,
        id: u64,
        call: Call,
    },
    Reply {
        node: usize,
        life: u64,
        id: u64,
        reply: Option<Box<Reply>>,
    },
    Settle {
        node: usize,
        life: u64,
        slot: usize,
        amount: i64,
    },
}

/// A request that was admitted: the time, the name, and the amount that was consumed in the end.
struct Admission {
    at: f64,
    name: usize,
    amount: i64,
}

struct OpenReservation<S: Safeguards> {
    reservation: Option<Reservation<2, S>>,
    admissions: Vec<usize>,
    amounts: [i64; 2],
}

pub struct World<S: Safeguards> {
    pub scenario: Scenario,
    pub random: Random,
    pub now: f64,
    queue: BinaryHeap<Reverse<(u64, u64)>>,
    events: std::collections::HashMap<u64, Event>,
    count: u64,
    pub database: Database,
    /// The database that was replaced, and a copy that lags behind.
    pub old: Option<Database>,
    pub copy: Database,
    pub clock_stepped_at: f64,
    pub nodes: Vec<Node<S>>,
    held: Vec<OpenReservation<S>>,
    admissions: Vec<Admission>,
    pub outcome: Outcome,
}

/// Runs a scenario.
pub fn run<S: Safeguards>(seed: u64, scenario: &Scenario) -> Outcome {
    let mut world = World::<S>::new(seed, scenario);
    world.run();
    world.outcome.most = world.most();
    let admitted = world.admissions.iter().filter(|one| one.name == 0);
    world.outcome.amount = admitted.map(|one| one.amount).sum();
    world.outcome
}

impl<S: Safeguards> World<S> {
    fn new(seed: u64, scenario: &Scenario) -> Self {
        let mut random = Random::new(seed);
        let limits: Limits = if scenario.is_tokens {
            [None, Some(scenario.limit)]
        } else {
            [Some(scenario.limit), None]
        };
        let nodes = (0..scenario.node_count)
            .map(|_| Node::new(&mut random, limits, scenario.ends_sessions))
            .collect();
        let database = Database::new(scenario.database);
        let mut world = Self {
            scenario: *scenario,
            random,
            now: 0.0,
            queue: BinaryHeap::new(),
            events: std::collections::HashMap::new(),
            count: 0,
            copy: database.clone(),
            database,
            old: None,
            clock_stepped_at: f64::NEG_INFINITY,
            nodes,
            held: Vec::new(),
            admissions: Vec::new(),
            outcome: Outcome::default(),
        };
        for node in 0..scenario.node_count {
            let start = world.random.between(0.0, PROLONG_INTERVAL);
            world.at(start, Event::Prolong(node));
            world.at(start, Event::Tick(node));
        }
        world.at(0.0, Event::Arrive);
        if scenario.has_faults {
            let first = world.random.between(5_000.0, 20_000.0);
            world.at(first, Event::Fault);
            world.at(0.0, Event::Copy);
        }
        world
    }

    pub fn at(&mut self, time: f64, event: Event) {
        self.count += 1;
        self.events.insert(self.count, event);
        // Times are positive, so their bits are in their order.
        self.queue.push(Reverse((time.to_bits(), self.count)));
    }

    fn run(&mut self) {
        let end = self.scenario.minutes * 60_000.0;
        while let Some(Reverse((time, id))) = self.queue.pop() {
            self.now = f64::from_bits(time);
            if self.now >= end {
                return;
            }
            if let Some(event) = self.events.remove(&id) {
                self.handle(event);
            }
        }
    }

    /// Returns the node of an event that needs one.
    fn node_of(event: &Event) -> Option<usize> {
        match event {
            Event::Prolong(node)
            | Event::Tick(node)
            | Event::Request(node, _)
            | Event::Reply { node, .. }
            | Event::Settle { node, .. } => Some(*node),
            _ => None,
        }
    }

    fn handle(&mut self, event: Event) {
        if let Some(node) = Self::node_of(&event)
            && self.nodes[node].paused_until > self.now
        {
            let later = self.nodes[node].paused_until + 0.01;
            self.at(later, event);
            return;
        }
        let now = self.now;
        match event {
            Event::Arrive => self.arrive(),
            Event::Fault => self.fault(),
            Event::Copy => self.copy_database(),
            Event::StepClock(milliseconds) => {
                self.database.step_clock(milliseconds);
                self.clock_stepped_at = now;
            }
            Event::Kill(node) => self.kill(node),
            Event::Prolong(node) => {
                // A step of the clock is noticed by nodes that lived through it, within the second; a node that starts in
                // that second is not modelled.
                let is_known = self.nodes[node].time(now).is_some();
                if is_known || now > self.clock_stepped_at + 2_000.0 {
                    self.nodes[node].prolong(now);
                }
                self.at(now + PROLONG_INTERVAL, Event::Prolong(node));
                self.settle_node(node, false);
            }
            Event::Tick(node) => {
                self.at(now + TICK_INTERVAL, Event::Tick(node));
                self.settle_node(node, true);
            }
            Event::Request(node, arrival) => {
                self.nodes[node].request(now, arrival);
                self.settle_node(node, false);
            }
            Event::Serve {
                node,
                life,
                id,
                call,
            } => self.serve(node, life, id, call),
            Event::Reply {
                node,
                life,
                id,
                reply,
            } => {
                if self.nodes[node].life == life
                    && let Some(call) = self.nodes[node].calls.remove(&id)
                {
                    self.nodes[node].on_reply(now, call, reply.map(|reply| *reply));
                    self.settle_node(node, false);
                }
            }
            Event::Settle {
                node,
                life,
                slot,
                amount,
            } => self.settle(node, life, slot, amount),
        }
    }

    /// Does what a node has decided since.
    fn settle_node(&mut self, node: usize, is_beat: bool) {
        self.nodes[node].pump(self.now, is_beat);
        for verdict in std::mem::take(&mut self.nodes[node].verdicts) {
            match verdict {
                Verdict::Refused => self.outcome.refused += 1,
                Verdict::Admitted(arrival, reservation) => self.admit(node, &arrival, reservation),
            }
        }
        for call in std::mem::take(&mut self.nodes[node].outbox) {
            self.send(node, call);
        }
    }

    fn admit(&mut self, node: usize, arrival: &ClientRequest, reservation: Reservation<2, S>) {
        let quantity = usize::from(self.scenario.is_tokens);
        let amount = arrival.amounts[quantity];
        self.outcome.admitted += 1;
        let first = self.admissions.len();
        for name in &arrival.names {
            let name = NAMES
                .iter()
                .position(|known| known == name)
                .expect("a name");
            let at = self.now;
            self.admissions.push(Admission { at, name, amount });
        }
        let slot = self.held.len();
        self.held.push(OpenReservation {
            reservation: Some(reservation),
            admissions: (first..self.admissions.len()).collect(),
            amounts: arrival.amounts,
        });
        let is_less = self.scenario.is_tokens && self.random.is_chance(0.8);
        let is_long = self.random.is_chance(0.2);
        let later = if is_long {
            self.random.between(50_000.0, 64_000.0)
        } else {
            self.random.exponential(1.0 / 4_000.0)
        };
        let less = self.random.below(amount.unsigned_abs() + 1).cast_signed();
        let consumed = if is_less { amount - less } else { amount };
        let life = self.nodes[node].life;
        let event = Event::Settle {
            node,
            life,
            slot,
            amount: consumed,
        };
        self.at(self.now + later, event);
    }

    fn settle(&mut self, node: usize, life: u64, slot: usize, amount: i64) {
        let Some(time) = self.nodes[node].time(self.now) else {
            return;
        };
        if self.nodes[node].life != life {
            return;
        }
        let held = &mut self.held[slot];
        let quantity = usize::from(self.scenario.is_tokens);
        held.amounts[quantity] = amount;
        for admission in &held.admissions {
            self.admissions[*admission].amount = amount;
        }
        if let Some(reservation) = held.reservation.take() {
            let [first, second] = held.amounts;
            reservation.settle(time, &Amounts::default().with(0, first).with(1, second));
        }
        self.settle_node(node, false);
    }

    fn send(&mut self, node: usize, call: Call) {
        self.outcome.calls += u64::from(matches!(call, Call::Swap(_)));
        self.count += 1;
        let (id, life) = (self.count, self.nodes[node].life);
        self.nodes[node].calls.insert(id, call.clone());
        let is_cut = self.nodes[node].cut_until > self.now && !matches!(call, Call::Swap(_));
        if !is_cut && !self.is_lost() {
            let at = self.now + self.latency();
            self.at(
                at,
                Event::Serve {
                    node,
                    life,
                    id,
                    call,
                },
            );
        }
        let reply = None;
        self.at(
            self.now + CALL_TIMEOUT,
            Event::Reply {
                node,
                life,
                id,
                reply,
            },
        );
    }

    fn serve(&mut self, node: usize, life: u64, id: u64, call: Call) {
        let sees_old = self.nodes[node].sees_old_until > self.now;
        let database = match &mut self.old {
            Some(old) if sees_old => old,
            _ => &mut self.database,
        };
        let reply = match call {
            Call::Swap(call) => Reply::Swap(database.swap(&call)),
            Call::Session {
                epoch,
                acknowledged,
                ..
            } => Reply::Session(database.session(self.now, epoch, acknowledged)),
            Call::BeginGeneration { seen, step } => {
                database.begin_generation(seen, step);
                Reply::Done
            }
        };
        if !self.is_lost() {
            let at = self.now + self.latency();
            let reply = Some(Box::new(reply));
            self.at(
                at,
                Event::Reply {
                    node,
                    life,
                    id,
                    reply,
                },
            );
        }
    }

    fn arrive(&mut self) {
        let scenario = self.scenario;
        let node = if self.random.is_chance(0.1) {
            0
        } else {
            self.random.below(scenario.node_count as u64) as usize
        };
        let lump = (scenario.limit / 8).max(1);
        let amounts = if scenario.is_tokens {
            [1, 1 + self.random.below(lump.unsigned_abs()).cast_signed()]
        } else {
            [1, 10]
        };
        let names = if self.random.is_chance(0.2) {
            NAMES.to_vec()
        } else {
            vec![NAMES[0]]
        };
        self.at(
            self.now,
            Event::Request(node, ClientRequest::new(names, amounts)),
        );
        let mean = if scenario.is_tokens {
            lump as f64 / 2.0
        } else {
            1.0
        };
        let rate = scenario.demand * scenario.limit as f64 / mean / WINDOW_LEN as f64;
        let next = self.now + self.random.exponential(rate.max(1.0 / 4_000.0));
        self.at(next, Event::Arrive);
    }

    /// Returns the most that an interval which begins at an admission held under a name.
    fn most(&self) -> i64 {
        let mut most = 0;
        for name in 0..NAMES.len() {
            let of_name = || {
                self.admissions
                    .iter()
                    .filter(move |admission| admission.name == name)
            };
            let mut ahead = of_name();
            let mut next = ahead.next();
            let mut sum = 0;
            for first in of_name() {
                while let Some(admission) = next.filter(|one| one.at < first.at + WINDOW_LEN as f64)
                {
                    sum += admission.amount;
                    next = ahead.next();
                }
                most = most.max(sum);
                sum -= first.amount;
            }
        }
        most
    }
}
