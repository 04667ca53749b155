//! Observations of `/readyz`, compared with the actual outages.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use poll::ScenarioDelay;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use crate::api::http;

/// Between two looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// The longest that an answer of `/readyz` may take: that of a database which does not answer, twice.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// The time within which `/readyz` is 503 after a database is away, as documented.
const NOTICE_TIMEOUT: Duration = Duration::from_secs(5);
/// The time within which it is 200 after the database is back, as documented.
const RECOVERY_TIMEOUT: Duration = Duration::from_secs(15);

/// An observation, with the times of request and response.
#[derive(Clone, Debug)]
struct Observation {
    asked: Instant,
    came: Instant,
    is_ready: bool,
    reasons: String,
}

/// A time in which the database was away. Whether it still takes something at the edges of it is not known.
#[derive(Clone, Copy, Debug)]
pub struct Outage {
    pub began: Instant,
    pub ended: Instant,
}

/// Asks again and again, from the start until it is asked for a verdict.
pub struct Watch {
    said: Arc<Mutex<Vec<Observation>>>,
    wrong: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Watch {
    pub fn start(address: &str) -> Self {
        let (said, wrong) = (Arc::default(), Arc::default());
        let task = tokio::spawn(watch(
            format!("{address}/readyz"),
            Arc::clone(&said),
            Arc::clone(&wrong),
        ));
        Self { said, wrong, task }
    }

    fn said(&self) -> Vec<Observation> {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.clone()
    }

    /// Waits until `/readyz` has said this of a moment after `since`; false if it has not in time.
    pub async fn says(&self, is_ready: bool, since: Instant, within: Duration) -> bool {
        let is_said = poll::until("/readyz says so", async || {
            let said = self.said();
            (said.iter().rev()).any(|said| said.is_ready == is_ready && said.asked >= since)
        });
        timeout_at(since + within, is_said).await.is_ok()
    }

    /// Returns the wrong observations. `doubtful` are outages during which the database may have worked at times.
    pub fn verdict(self, outages: &[Outage], doubtful: &[Outage]) -> Vec<String> {
        self.task.abort();
        let said = self.said();
        let wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        let mut wrong = wrong.clone();
        let first = said.first().map(|said| said.asked);
        let at = |moment: Instant| first.map_or(Duration::ZERO, |first| moment - first);
        for said in &said {
            // Throughout this time it was otherwise than the answer says.
            let was_down = outages.iter().any(|outage| {
                said.asked >= outage.began + NOTICE_TIMEOUT && said.came <= outage.ended
            });
            let was_well = outages.iter().chain(doubtful).all(|outage| {
                said.came < outage.began || said.asked > outage.ended + RECOVERY_TIMEOUT
            });
            if (said.is_ready && was_down) || (!said.is_ready && was_well) {
                let (asked, came) = (at(said.asked), at(said.came));
                let (is_ready, reasons) = (said.is_ready, &said.reasons);
                wrong.push(format!(
                    "/readyz, asked at {asked:?} and answered at {came:?}: ready is {is_ready}, {reasons}"
                ));
            }
        }
        if !wrong.is_empty() {
            let spans = outages.iter().chain(doubtful);
            let spans = spans.map(|outage| (at(outage.began), at(outage.ended)));
            wrong.push(format!("away: {:?}", spans.collect::<Vec<_>>()));
        }
        wrong
    }
}

async fn watch(url: String, all: Arc<Mutex<Vec<Observation>>>, wrong: Arc<Mutex<Vec<String>>>) {
    let client = http();
    loop {
        let asked = Instant::now();
        let answer = async {
            let response = client.get(&url).send().await.ok()?;
            let status = response.status().as_u16();
            let body: Value = response.json().await.ok()?;
            Some((status, body["reasons"].to_string()))
        };
        let answer = timeout(ANSWER_TIMEOUT, answer).await;
        match answer {
            Ok(Some((status @ (200 | 503), reasons))) => {
                let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
                all.push(Observation {
                    asked,
                    came: Instant::now(),
                    is_ready: status == 200,
                    reasons,
                });
            }
            other => {
                let mut wrong = wrong.lock().unwrap_or_else(PoisonError::into_inner);
                wrong.push(format!("/readyz: {other:?}"));
            }
        }
        ScenarioDelay(LOOK_INTERVAL).elapse().await;
    }
}
