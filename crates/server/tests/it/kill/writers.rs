//! Those who are at work when the server is killed, and what they remember: what was acknowledged, and what was sent
//! without an answer.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use crate::api::Api;
use crate::dice::Dice;
use crate::reports::{Sums, now};

/// Maximum number of events per request; most requests have one.
const MAX_BATCH_LEN: u64 = 4;

/// State shared by all writers.
#[derive(Clone)]
pub struct Work(Arc<Shared>);

pub struct Shared {
    /// The project that usage is reported for.
    project: String,
    began: i64,
    next: AtomicI64,
    acknowledged: AtomicUsize,
    record: Mutex<Record>,
}

#[derive(Default)]
struct Record {
    batches: Vec<Batch>,
    /// The names of the projects that were asked for, and the ids of those that were acknowledged.
    attempts: BTreeMap<String, Option<String>>,
}

/// The events of one request.
#[derive(Clone)]
pub struct Batch {
    pub numbers: Range<i64>,
    pub acknowledged: bool,
}

impl Batch {
    pub fn events(&self, work: &Work) -> Vec<Value> {
        let numbers = self.numbers.clone();
        numbers.map(|number| work.event(number)).collect()
    }

    /// Amounts that the events add to the reports.
    pub fn sums(&self) -> Sums {
        self.numbers.clone().map(sums).sum()
    }
}

/// Returns the usage of the event with this number; each is distinct, so that a lost, doubled or wrong event shows in
/// the totals.
fn sums(number: i64) -> Sums {
    Sums {
        requests: 1,
        input: 1_000 + number % 997,
        cached: number % 101,
        output: 1 + number % 13,
    }
}

impl std::ops::Deref for Work {
    type Target = Shared;
    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Work {
    pub fn new(project: &str) -> Self {
        Self(Arc::new(Shared {
            project: project.to_owned(),
            began: now(),
            next: AtomicI64::new(0),
            acknowledged: AtomicUsize::new(0),
            record: Mutex::default(),
        }))
    }

    /// Reports usage, request after request, until the server is gone.
    pub async fn report_until_cut_off(self, api: Api, dice: Dice) {
        let mut acknowledged = true;
        while acknowledged {
            let size = (1 + dice.below(2 * MAX_BATCH_LEN))
                .saturating_sub(MAX_BATCH_LEN)
                .max(1) as i64;
            let first = self.next.fetch_add(size, Ordering::SeqCst);
            let numbers = first..first + size;
            let mut batch = Batch {
                numbers,
                acknowledged: false,
            };
            let events = json!(batch.events(&self));
            let answer = api.try_post("/organization/usage/events", &events).await;
            if let Ok((status, answer)) = &answer {
                let accepted = (*status, &answer["accepted"], &answer["duplicates"]);
                assert_eq!(accepted, (200, &json!(size), &json!(0)), "{answer}");
            }
            acknowledged = answer.is_ok();
            batch.acknowledged = acknowledged;
            self.record().batches.push(batch);
            self.count(acknowledged);
        }
    }

    /// Creates projects, one after the other, until the server is gone.
    pub async fn administer_until_cut_off(self, api: Api) {
        let mut acknowledged = true;
        while acknowledged {
            let name = format!("Project {}", self.next.fetch_add(1, Ordering::SeqCst));
            let answer = api
                .try_post("/organization/projects", &json!({"name": name}))
                .await;
            let id = answer.ok().map(|(status, project)| {
                assert_eq!(status, 200, "{project}");
                project["id"].as_str().expect("an id").to_owned()
            });
            acknowledged = id.is_some();
            self.record().attempts.insert(name, id);
            self.count(acknowledged);
        }
    }

    fn count(&self, acknowledged: bool) {
        self.acknowledged
            .fetch_add(usize::from(acknowledged), Ordering::SeqCst);
    }
}

impl Shared {
    /// Number of operations acknowledged so far.
    pub fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::SeqCst)
    }

    /// The event of this number: the same whenever it is sent.
    pub fn event(&self, number: i64) -> Value {
        let Sums {
            input,
            cached,
            output,
            ..
        } = sums(number);
        // Spread over half an hour, so that many buckets are written to.
        let timestamp = self.began - number % 1_800;
        json!({
            "id": format!("evt-{number}"), "timestamp": timestamp, "type": "completions", "project_id": self.project,
            "model": "metered-elsewhere", "input_tokens": input, "input_cached_tokens": cached,
            "output_tokens": output,
        })
    }

    pub fn batches(&self) -> Vec<Batch> {
        self.record().batches.clone()
    }

    /// Notes that all batches so far are acknowledged.
    pub fn acknowledge_all(&self) {
        for batch in &mut self.record().batches {
            batch.acknowledged = true;
        }
    }

    pub fn attempts(&self) -> BTreeMap<String, Option<String>> {
        self.record().attempts.clone()
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
