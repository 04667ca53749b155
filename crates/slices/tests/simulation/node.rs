//! A node of the simulation: a limiter, a session, and the calls under way.

use std::collections::HashMap;
use std::sync::Arc;

use slices::{
    Amounts, Category, Denial, Descriptor, Limiter, Quantity, Request, Reservation, Safeguards,
    Session, SwapAnswer, SwapCall, TimeBounds, Waiting, Window,
};

use crate::database::{SESSION_TIMEOUT, SessionReply};
use crate::random::Random;

/// The most that the rate of a clock differs from the true one.
const MAX_DRIFT: f64 = 2e-4;
/// The milliseconds that the database's clock may differ from what a node expects before the node takes that for a step.
const MAX_CLOCK_ERROR: i64 = 250;
/// The most times that a request asks for its reservation.
const MAX_ATTEMPTS: u32 = 5;
const TENANT: &str = "proj_1";

/// The limits of a run, the same under every name.
pub type Limits = [Option<i64>; 2];

/// A request of a client.
#[derive(Clone, Debug)]
pub struct ClientRequest {
    pub names: Vec<&'static str>,
    /// The amount of each quantity.
    pub amounts: [i64; 2],
    attempts: u32,
    waiting: Vec<Waiting>,
}

impl ClientRequest {
    pub fn new(names: Vec<&'static str>, amounts: [i64; 2]) -> Self {
        Self {
            names,
            amounts,
            attempts: 0,
            waiting: Vec::new(),
        }
    }
}

/// A call to the database.
#[derive(Clone, Debug)]
pub enum Call {
    Swap(SwapCall),
    Session {
        epoch: Option<u64>,
        acknowledged: u64,
        sent: f64,
    },
    BeginGeneration {
        seen: u64,
        step: i64,
    },
}

/// An answer of the database.
#[derive(Clone, Debug)]
pub enum Reply {
    Swap(SwapAnswer),
    Session(SessionReply),
    Done,
}

/// A request that was decided.
pub enum Verdict<S: Safeguards> {
    Admitted(ClientRequest, Reservation<2, S>),
    Refused,
}

/// The time of the database's clock when a session was prolonged, and the node's own time before and after the call.
#[derive(Clone, Copy)]
struct Sample {
    now: i64,
    sent: f64,
    received: f64,
}

pub struct Node<S: Safeguards> {
    pub limiter: Arc<Limiter<2, S>>,
    limits: Limits,
    /// The number of lives of the node.
    pub life: u64,
    pub session: Session,
    /// True if the session is over, so that the next call begins another one.
    is_over: bool,
    /// The sum of all steps of the database's clock that the node knows.
    clock_step: i64,
    acknowledged: u64,
    sample: Option<Sample>,
    /// The end of the session, by the node's own clock.
    live_until: f64,
    ends_sessions: bool,
    /// The rate and the offset of the node's own clock.
    rate: f64,
    offset: f64,
    pub paused_until: f64,
    /// The true time until which the node talks with the database that was replaced.
    pub sees_old_until: f64,
    /// The true time until which the session cannot be prolonged.
    pub cut_until: f64,
    pub calls: HashMap<u64, Call>,
    /// Calls to be sent.
    pub outbox: Vec<Call>,
    waiting: Vec<ClientRequest>,
    pub verdicts: Vec<Verdict<S>>,
}

impl<S: Safeguards> Node<S> {
    pub fn new(random: &mut Random, limits: Limits, ends_sessions: bool) -> Self {
        Self {
            limiter: limiter(),
            limits,
            life: 0,
            session: Session::default(),
            is_over: true,
            clock_step: 0,
            acknowledged: 0,
            sample: None,
            live_until: -1.0,
            ends_sessions,
            rate: 1.0 + random.between(-1e-4, 1e-4),
            offset: random.between(0.0, 1e6),
            paused_until: 0.0,
            sees_old_until: 0.0,
            cut_until: 0.0,
            calls: HashMap::new(),
            outbox: Vec::new(),
            waiting: Vec::new(),
            verdicts: Vec::new(),
        }
    }

    /// Forgets everything, as a process that was killed.
    pub fn die(&mut self) {
        self.limiter = limiter();
        self.life += 1;
        self.session = Session::default();
        self.is_over = true;
        self.acknowledged = 0;
        self.sample = None;
        self.live_until = -1.0;
        self.calls.clear();
        self.outbox.clear();
        self.waiting.clear();
    }

    fn own_time(&self, true_time: f64) -> f64 {
        self.offset + true_time * self.rate
    }

    pub fn time(&self, true_time: f64) -> Option<TimeBounds> {
        let own = self.own_time(true_time);
        let sample = self.sample?;
        let lo = sample.now as f64 + (own - sample.received) * (1.0 - MAX_DRIFT);
        // The database rounds its time down to a millisecond.
        let hi = sample.now as f64 + 1.0 + (own - sample.sent) * (1.0 + MAX_DRIFT);
        Some(TimeBounds {
            lo: lo.floor() as u64,
            hi: hi.ceil() as u64,
        })
    }

    fn is_live(&self, true_time: f64) -> bool {
        self.sample.is_some() && (!self.ends_sessions || self.own_time(true_time) < self.live_until)
    }

    pub fn has_session(&self) -> bool {
        self.session.is_live
    }

    /// Sends what prolongs the session.
    pub fn prolong(&mut self, true_time: f64) {
        let epoch = (!self.is_over).then_some(self.session.epoch);
        self.outbox.push(Call::Session {
            epoch,
            acknowledged: self.acknowledged,
            sent: self.own_time(true_time),
        });
    }

    /// Takes a request.
    pub fn request(&mut self, true_time: f64, mut arrival: ClientRequest) {
        let Some(time) = self.time(true_time) else {
            self.verdicts.push(Verdict::Refused);
            return;
        };
        let descriptors = arrival.names.iter().map(|name| Descriptor {
            name,
            limits: self.limits,
        });
        let descriptors: Vec<Descriptor<'_, 2>> = descriptors.collect();
        let [first, second] = arrival.amounts;
        let amounts = Amounts::default().with(0, first).with(1, second);
        let request = Request::from(amounts);
        let (reserved, _) = self.limiter.reserve(time, TENANT, &descriptors, &request);
        match reserved {
            Ok(reservation) => self.verdicts.push(Verdict::Admitted(arrival, reservation)),
            Err(Denial::Waiting(waiting)) if arrival.attempts < MAX_ATTEMPTS => {
                arrival.attempts += 1;
                arrival.waiting = waiting;
                self.waiting.push(arrival);
            }
            Err(_) => self.verdicts.push(Verdict::Refused),
        }
    }

    /// Lets requests that waited ask again, and collects the calls that are due.
    pub fn pump(&mut self, true_time: f64, is_beat: bool) {
        let Some(time) = self.time(true_time) else {
            return;
        };
        if self.session.is_live && !self.is_live(true_time) {
            self.session.is_live = false;
            self.limiter.set_session(time, &self.session);
        }
        let limiter = Arc::clone(&self.limiter);
        let is_ready = |arrival: &mut ClientRequest| {
            let mut waiting = arrival.waiting.iter();
            !waiting.any(|waiting| limiter.is_waiting(TENANT, waiting))
        };
        let ready: Vec<ClientRequest> = self.waiting.extract_if(.., is_ready).collect();
        for arrival in ready {
            self.request(true_time, arrival);
        }
        let mut calls = self.limiter.asks(time, 100);
        if is_beat {
            calls.extend(self.limiter.beat(time, 100));
        }
        // A run follows from its seed.
        calls.sort_by(|one, other| one.name.cmp(&other.name));
        self.outbox.extend(calls.into_iter().map(Call::Swap));
        if self.acknowledged != self.session.generation
            && self.session.is_live
            && self.limiter.is_pushed()
        {
            self.acknowledged = self.session.generation;
            self.prolong(true_time);
        }
    }

    /// Takes the answer to a call; `None` if there is none.
    pub fn on_reply(&mut self, true_time: f64, call: Call, reply: Option<Reply>) {
        match (call, reply) {
            (Call::Swap(call), reply) => {
                let Some(time) = self.time(true_time) else {
                    return;
                };
                let answer = match reply {
                    Some(Reply::Swap(answer)) => answer,
                    _ => SwapAnswer::Lost,
                };
                let next = self.limiter.on_answer(time, &call, answer);
                if self.is_live(true_time) {
                    self.outbox.extend(next.map(Call::Swap));
                } else if let Some(next) = next {
                    self.limiter.on_answer(time, &next, SwapAnswer::Lost);
                }
            }
            (Call::Session { sent, .. }, Some(Reply::Session(reply))) => {
                self.on_session(true_time, sent, &reply);
            }
            (Call::BeginGeneration { .. }, Some(_)) => self.prolong(true_time),
            _ => {}
        }
    }

    fn on_session(&mut self, true_time: f64, sent: f64, reply: &SessionReply) {
        let received = self.own_time(true_time);
        let mut step = 0;
        if let Some(sample) = self.sample {
            let lo = sample.now as f64 + (sent - sample.received) * (1.0 - MAX_DRIFT);
            let hi = sample.now as f64 + 1.0 + (received - sample.sent) * (1.0 + MAX_DRIFT);
            let is_step = |known: i64| {
                let now = reply.now - known;
                now < lo as i64 - MAX_CLOCK_ERROR || now > hi as i64 + MAX_CLOCK_ERROR
            };
            let known = reply.clock_step - self.clock_step;
            if is_step(known) {
                let step = reply.now - known - lo.floor() as i64;
                let seen = reply.generation;
                self.outbox.push(Call::BeginGeneration { seen, step });
                return;
            }
            // No date may become earlier than it was.
            if known != 0 {
                step = reply.now - lo.floor() as i64;
            }
        }
        self.clock_step = reply.clock_step;
        let now = reply.now;
        self.sample = Some(Sample {
            now,
            sent,
            received,
        });
        let Some(epoch) = reply.epoch else {
            // Another session follows.
            self.is_over = true;
            self.session.is_live = false;
            self.session.clock_shift += step;
            self.live_until = -1.0;
            self.adopt(true_time);
            self.prolong(true_time);
            return;
        };
        let time_to_live = (SESSION_TIMEOUT - 1_000) as f64 * (1.0 - MAX_DRIFT);
        self.is_over = false;
        self.live_until = self.live_until.max(sent + time_to_live);
        let mut former = self.session.former.to_vec();
        if self.session.epoch != epoch && self.session.epoch > 0 {
            former.push(self.session.epoch);
        }
        let former = former.into();
        self.session = Session {
            epoch,
            generation: reply.generation,
            is_open: reply.is_open,
            is_live: true,
            living: Arc::clone(&reply.living),
            former,
            is_alone: false,
            clock_shift: self.session.clock_shift + step,
        };
        self.adopt(true_time);
    }

    fn adopt(&mut self, true_time: f64) {
        if let Some(time) = self.time(true_time) {
            self.limiter.set_session(time, &self.session);
        }
    }
}

fn limiter<S: Safeguards>() -> Arc<Limiter<2, S>> {
    let window = Window::MINUTE;
    let category = |category| Quantity {
        window,
        category: Some(category),
    };
    Limiter::shared([category(Category::Requests), category(Category::Tokens)])
}
