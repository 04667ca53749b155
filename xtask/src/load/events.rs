//! Made-up usage: 31 days of completions in the order of their time, the same at every run but for the ids of projects
//! and keys, which a server makes.

use std::fmt::Write;

use anyhow::Result;

use super::server::{Server, now};

/// How many projects there are.
pub const PROJECTS: usize = 50;
/// How many keys each of them has.
pub const KEYS: usize = 4;
/// The models that are called, those called most first; the built-in price book has all of them.
pub const MODELS: [&str; 20] = [
    "gpt-5-mini",
    "gpt-5",
    "gpt-5-nano",
    "gpt-4o-mini",
    "gpt-4.1-mini",
    "gpt-4.1",
    "gpt-4o",
    "gpt-5.1",
    "gpt-5.2",
    "gpt-4.1-nano",
    "o4-mini",
    "o3",
    "gpt-3.5-turbo",
    "o3-mini",
    "gpt-4-turbo",
    "gpt-4",
    "o1",
    "gpt-4o-2024-05-13",
    "gpt-4o-audio-preview",
    "gpt-4o-mini-audio-preview",
];
/// How many days the events lie in, the last of them yesterday.
pub const DAYS: u64 = 31;
/// Seconds in a day.
pub const DAY: u64 = 86_400;

/// Where usage can come from.
pub struct Population {
    /// The ids of the projects.
    pub projects: Vec<String>,
    /// The ids of the keys of each project.
    keys: Vec<Vec<String>>,
    /// The first second that an event can lie in.
    pub start: u64,
    /// How many events there are in the whole time.
    pub total: usize,
}

impl Population {
    /// Makes the projects and the keys.
    pub fn settle(server: &Server, total: usize) -> Result<Self> {
        let mut admin = server.admin()?;
        let (mut projects, mut keys) = (Vec::new(), Vec::new());
        for number in 0..PROJECTS {
            let project = server.project(&mut admin, &format!("Project {number}"))?;
            let account = |account| {
                let name = format!("Account {account}");
                Ok(server.key(&mut admin, &project, &name)?.0)
            };
            keys.push((0..KEYS).map(account).collect::<Result<_>>()?);
            projects.push(project);
        }
        let start = now() / DAY * DAY - DAYS * DAY;
        Ok(Self {
            projects,
            keys,
            start,
            total,
        })
    }

    /// These events, one a line.
    pub fn lines(&self, numbers: std::ops::Range<usize>) -> String {
        let mut text = String::with_capacity(numbers.len() * 288);
        for number in numbers {
            // Writing to a string cannot fail.
            let _ = self.line(number, &mut text);
        }
        text
    }

    fn line(&self, number: usize, text: &mut String) -> std::fmt::Result {
        let mut dice = Dice(number as u64);
        // Of two throws the smaller one: some are used much more than others.
        let mut skewed = |count: usize| dice.below(count).min(dice.below(count));
        let (project, model) = (skewed(PROJECTS), skewed(MODELS.len()));
        let key = skewed(KEYS);
        let input = 100 + skewed(8_000);
        let cached = if dice.below(3) == 0 { input / 2 } else { 0 };
        let output = 10 + dice.below(900);
        let time = self.start + (number as u64 * DAYS * DAY) / self.total as u64;
        let (model, key) = (MODELS[model], &self.keys[project][key]);
        let project = &self.projects[project];
        writeln!(
            text,
            r#"{{"id":"load-{number}","timestamp":{time},"type":"completions","project_id":"{project}","api_key_id":"{key}","model":"{model}","input_tokens":{input},"input_cached_tokens":{cached},"output_tokens":{output}}}"#
        )
    }
}

/// Numbers that look random and follow from the first (SplitMix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, count: usize) -> usize {
        (self.roll() >> 33) as usize % count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn population() -> Population {
        Population {
            projects: (0..PROJECTS)
                .map(|number| format!("proj_{number}"))
                .collect(),
            keys: vec![(0..KEYS).map(|number| format!("key_{number}")).collect(); PROJECTS],
            start: 20_000 * DAY,
            total: 10_000,
        }
    }

    #[test]
    fn events_are_the_same_at_every_run_and_lie_in_the_time() {
        let population = population();
        let text = population.lines(0..10_000);
        assert_eq!(
            text,
            population.lines(0..5_000) + &population.lines(5_000..10_000)
        );
        let mut last = population.start;
        for line in text.lines() {
            let event: serde_json::Value = serde_json::from_str(line).unwrap();
            let time = event["timestamp"].as_u64().unwrap();
            assert!(time >= last && time < population.start + DAYS * DAY);
            last = time;
        }
        for model in MODELS {
            assert!(text.contains(&format!("\"{model}\"")), "{model}");
        }
    }
}
