//! Generator of a day of traffic: busier in the afternoon, mostly small requests, the same at every start.

use base::UnixTime;
use base::time::{SECONDS_PER_DAY, SECONDS_PER_HOUR};
use serde_json::{Value, json};

/// An application that calls models.
pub(super) struct Application {
    pub(super) project_id: String,
    pub(super) api_key_id: String,
}

/// Average number of requests per hour.
const REQUESTS_PER_HOUR: i64 = 120;

/// Returns the usage events of the day before `now`.
pub(super) fn day(applications: &[Application], models: &[&str], now: UnixTime) -> Vec<Value> {
    let mut dice = Dice(42);
    let mut events = Vec::new();
    for hour in 0..24 {
        let start = now.0 - SECONDS_PER_DAY + hour * SECONDS_PER_HOUR;
        let hour_of_day = start.rem_euclid(SECONDS_PER_DAY) / SECONDS_PER_HOUR;
        // From a fifth of the average at 4:00 to nearly twice the average at 16:00.
        let distance = (hour_of_day - 16)
            .rem_euclid(24)
            .min((16 - hour_of_day).rem_euclid(24));
        let requests = REQUESTS_PER_HOUR * (20 + (12 - distance) * 14) / 100;
        for number in 0..requests {
            let application = &applications[dice.below(applications.len())];
            let model = models[dice.below(models.len()).min(dice.below(models.len()))];
            let input = 200 + dice.amount(1_800);
            let cached = if dice.below(3) == 0 { input / 2 } else { 0 };
            events.push(json!({
                "id": format!("demo-{hour}-{number}"),
                "timestamp": start + dice.amount(SECONDS_PER_HOUR),
                "type": "completions",
                "project_id": application.project_id,
                "api_key_id": application.api_key_id,
                "model": model,
                "input_tokens": input,
                "input_cached_tokens": cached,
                "output_tokens": 20 + dice.amount(600),
            }));
        }
    }
    events
}

/// Linear congruential generator with a fixed seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.roll()).unwrap_or(0) % count
    }

    fn amount(&mut self, most: i64) -> i64 {
        i64::try_from(self.roll()).unwrap_or(0) % most
    }
}
