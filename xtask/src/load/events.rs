//! Made-up usage: completions, in the order of their time where not said otherwise, the same at every run but for the ids
//! of projects, which a server makes. Each follows from its number, so that any part of them can be made alone.

use std::collections::BTreeSet;
use std::ops::AddAssign;

use anyhow::Result;

use super::dice::{Dice, shares};
use super::models::{MODELS, Model};
use super::server::{Server, now};
use super::shuffle::Shuffle;

/// Numbers of projects, users and keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    pub projects: usize,
    /// Users of each project, each in one project.
    pub users_per_project: usize,
    pub keys_per_user: usize,
}

/// An organization of the usual size.
pub const USUAL: Sizes = Sizes {
    projects: 50,
    users_per_project: 10,
    keys_per_user: 4,
};
/// Seconds in a day.
pub const SECONDS_PER_DAY: u64 = 86_400;
/// Calls of a key to each of its models, of 16 calls.
const CALLED: [usize; 3] = [11, 3, 2];
/// Number of events of which one is reported late.
const EVENTS_PER_LATE: u64 = 1_000;
/// Maximum delay of an event that is reported late.
const MAX_DELAY: u64 = 3 * SECONDS_PER_DAY;
/// Number of steps in which the popularity of keys is told apart.
const POPULARITY_STEP_COUNT: f64 = 65_536.0;

/// Sources of usage, and the time that it lies in.
pub struct Population {
    /// The ids of the projects, those used most first.
    pub projects: Vec<String>,
    keys: Vec<Key>,
    /// Keys, each as often as its share is.
    popular: Vec<u32>,
    /// The first second that an event can lie in.
    pub start: u64,
    /// The first after all of them.
    pub end: u64,
    /// Number of events in the whole time.
    pub total: u64,
    /// Number of events in a row that are of one second, key and model.
    alike: u64,
    /// The order of the events; `None` for that of their time.
    order: Option<Shuffle>,
    /// True if the keys are used in turn, each with one model.
    is_even: bool,
}

struct Key {
    id: String,
    user: String,
    project: usize,
    /// By their places in [`MODELS`]; three, some of which may be the same.
    models: [usize; 3],
}

/// A usage event.
pub struct Event {
    number: u64,
    time: u64,
    key: usize,
    model: usize,
    input: u64,
    cached: u64,
    output: u64,
}

/// Sums over events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Number of events.
    pub events: u64,
    /// Tokens that went in.
    pub input: u64,
    /// Those of them that were cached.
    pub cached: u64,
    /// Tokens that came out.
    pub output: u64,
    /// Cost in billionths of a dollar.
    pub nanos: u64,
}

impl Sizes {
    /// Returns the number of users of all projects.
    pub fn users(self) -> usize {
        self.projects * self.users_per_project
    }

    /// Returns the number of keys of all users.
    pub fn keys(self) -> usize {
        self.users() * self.keys_per_user
    }
}

impl Population {
    /// Makes the projects; the users and the keys are those of some other gateway.
    pub fn settle(server: &Server, sizes: Sizes, days: u64, total: u64) -> Result<Self> {
        let mut admin = server.admin()?;
        let project = |number| server.project(&mut admin, &format!("Project {number}"));
        let projects = (0..sizes.projects).map(project).collect::<Result<_>>()?;
        Ok(Self::new(projects, sizes, first_day(days), days, total))
    }

    /// Sets the number of events in a row that are of one second, key and model.
    pub fn alike(self, alike: u64) -> Self {
        Self { alike, ..self }
    }

    /// Puts the events into an order that has nothing to do with their time.
    pub fn in_any_order(self) -> Self {
        let order = Some(Shuffle::new(self.total));
        Self { order, ..self }
    }

    /// Makes the keys be used in turn, each with one model, so that there are as many series as keys.
    pub fn in_turn(self) -> Self {
        Self {
            is_even: true,
            ..self
        }
    }

    fn new(projects: Vec<String>, sizes: Sizes, start: u64, days: u64, total: u64) -> Self {
        let (models, mut keys, mut popular) = (shares(MODELS.len()), Vec::new(), Vec::new());
        let (projects_used, users_used, keys_used) = (
            shares(sizes.projects),
            shares(sizes.users_per_project),
            shares(sizes.keys_per_user),
        );
        for number in 0..sizes.keys() {
            let user = number / sizes.keys_per_user;
            let project = user / sizes.users_per_project;
            let share = projects_used[project]
                * users_used[user % users_used.len()]
                * keys_used[number % keys_used.len()];
            let times = (share * POPULARITY_STEP_COUNT).round().max(1.0) as usize;
            popular.resize(popular.len() + times, number as u32);
            let mut dice = Dice((number as u64) << 32);
            keys.push(Key {
                id: name("key_", &mut dice),
                user: name("user-", &mut Dice((user as u64).rotate_right(16))),
                project,
                models: CALLED.map(|_| dice.of(&models)),
            });
        }
        Self {
            projects,
            keys,
            popular,
            start,
            end: start + days * SECONDS_PER_DAY,
            total,
            alike: 1,
            order: None,
            is_even: false,
        }
    }

    /// Returns the ids of the users who have keys.
    pub fn users(&self) -> BTreeSet<&str> {
        self.keys.iter().map(|key| key.user.as_str()).collect()
    }

    /// Returns the event at this place of the order, below the total.
    pub fn event(&self, place: u64) -> Event {
        match self.order {
            Some(order) if place < self.total => self.numbered(order.at(place)),
            _ => self.numbered(place),
        }
    }

    fn numbered(&self, number: u64) -> Event {
        let moment = number / self.alike;
        let mut dice = Dice(moment);
        let (key, model) = self.caller(moment, &mut dice);
        let mut time = self.start + moment * self.alike * (self.end - self.start) / self.total;
        if dice.below(EVENTS_PER_LATE) == 0 {
            time = self.start.max(time.saturating_sub(dice.below(MAX_DELAY)));
        }
        // Other rolls than those above.
        let mut dice = Dice(!number);
        let input = 50 + dice.below(8_000).min(dice.below(8_000));
        // What is cached is the beginning, in whole pieces.
        let is_cached = MODELS[model].cached.is_some() && input >= 1_024 && dice.below(2) == 0;
        let cached = if is_cached {
            input * (1 + dice.below(7)) / 8 / 128 * 128
        } else {
            0
        };
        let output = 5 + dice.below(2_000).min(dice.below(2_000));
        Event {
            number,
            time,
            key,
            model,
            input,
            cached,
            output,
        }
    }

    /// Returns the key and the model of a moment.
    fn caller(&self, moment: u64, dice: &mut Dice) -> (usize, usize) {
        if self.is_even {
            let key = (moment % self.keys.len() as u64) as usize;
            return (key, self.keys[key].models[0]);
        }
        let key = self.popular[dice.below(self.popular.len() as u64) as usize] as usize;
        let choice = dice.below(16) as usize;
        let called = [CALLED[0], CALLED[0] + CALLED[1]].map(|least| usize::from(choice >= least));
        (key, self.keys[key].models[called[0] + called[1]])
    }

    /// Returns an event after all others: in the last second, of the project used most.
    pub fn addition(&self, nth: u64) -> Event {
        let number = self.total + nth;
        Event {
            number,
            time: self.end - 1,
            key: 0,
            ..self.event(number)
        }
    }

    /// Adds the event as the server takes it, one line of JSON.
    pub fn write_json(&self, event: &Event, text: &mut Vec<u8>) {
        let key = &self.keys[event.key];
        let mut part = |name: &str, value: &[u8]| {
            text.extend_from_slice(name.as_bytes());
            text.extend_from_slice(value);
        };
        part(r#"{"id":""#, &event.id());
        part(r#"","project_id":""#, self.projects[key.project].as_bytes());
        part(r#"","user_id":""#, key.user.as_bytes());
        part(r#"","api_key_id":""#, key.id.as_bytes());
        part(r#"","model":""#, MODELS[event.model].name.as_bytes());
        let mut number = |name: &str, value: u64| {
            text.extend_from_slice(name.as_bytes());
            write_digits(value, text);
        };
        number(r#"","type":"completions","timestamp":"#, event.time);
        number(r#","input_tokens":"#, event.input);
        number(r#","input_cached_tokens":"#, event.cached);
        number(r#","output_tokens":"#, event.output);
        text.extend_from_slice(b"}\n");
    }

    /// Adds the event as ClickHouse reads it ("RowBinary"): what the server takes, then what each kind of token costs.
    pub fn write_row(&self, event: &Event, row: &mut Vec<u8>) {
        let key = &self.keys[event.key];
        let mut text = |value: &[u8]| {
            // A length below 128 is one byte; all of ours are.
            row.push(value.len() as u8);
            row.extend_from_slice(value);
        };
        text(&event.id());
        text(self.projects[key.project].as_bytes());
        text(key.user.as_bytes());
        text(key.id.as_bytes());
        text(MODELS[event.model].name.as_bytes());
        for number in [event.time, event.input, event.cached, event.output] {
            row.extend_from_slice(&(number as u32).to_le_bytes());
        }
        for nanos in event.costs() {
            row.extend_from_slice(&nanos.to_le_bytes());
        }
    }
}

impl Event {
    /// Returns an id that differs for each number.
    fn id(&self) -> [u8; 24] {
        let mut id = *b"evt_00000000000000000000";
        id[4..].copy_from_slice(&Dice(self.number).digits());
        id
    }

    /// Returns the costs of the input, its cached part and the output, in billionths of a dollar.
    fn costs(&self) -> [u64; 3] {
        let Model {
            input,
            cached,
            output,
            ..
        } = MODELS[self.model];
        [
            (self.input - self.cached) * input,
            self.cached * cached.unwrap_or(0),
            self.output * output,
        ]
    }
}

impl Totals {
    /// Keeps the sums that reports of usage have.
    pub fn of_usage(self) -> Self {
        Self { nanos: 0, ..self }
    }

    /// Keeps the sums that the report of costs has.
    pub fn of_costs(self) -> Self {
        Self {
            nanos: self.nanos,
            ..Self::default()
        }
    }
}

impl AddAssign<&Event> for Totals {
    fn add_assign(&mut self, event: &Event) {
        self.events += 1;
        self.input += event.input;
        self.cached += event.cached;
        self.output += event.output;
        self.nanos += event.costs().iter().sum::<u64>();
    }
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        self.events += other.events;
        self.input += other.input;
        self.cached += other.cached;
        self.output += other.output;
        self.nanos += other.nanos;
    }
}

/// Returns the first second of the first of `days` whole days, the last of which was yesterday.
pub fn first_day(days: u64) -> u64 {
    (now() / SECONDS_PER_DAY - days) * SECONDS_PER_DAY
}

/// Returns an id that follows from the dice.
fn name(prefix: &str, dice: &mut Dice) -> String {
    let digits = dice.digits().map(char::from);
    prefix.chars().chain(digits).collect()
}

fn write_digits(mut value: u64, text: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    text.extend_from_slice(&digits[first..]);
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::Value;

    use super::*;

    fn population(total: u64) -> Population {
        let projects = (0..USUAL.projects).map(|number| format!("proj_{number}"));
        let start = 20_000 * SECONDS_PER_DAY;
        Population::new(projects.collect(), USUAL, start, 365, total)
    }

    fn line(population: &Population, event: &Event) -> Value {
        let mut text = Vec::new();
        population.write_json(event, &mut text);
        assert_eq!(text.pop(), Some(b'\n'));
        serde_json::from_slice(&text).unwrap()
    }

    #[test]
    fn all_of_the_population_is_used_and_some_much_more_than_others() {
        let population = population(200_000);
        let (mut seen, mut busiest) = (HashSet::new(), 0);
        for number in 0..population.total {
            let event = line(&population, &population.event(number));
            for name in ["id", "project_id", "user_id", "api_key_id", "model"] {
                seen.insert((name, event[name].as_str().unwrap().to_owned()));
            }
            busiest += u64::from(event["project_id"] == "proj_0");
        }
        let count = |name| seen.iter().filter(|(what, _)| *what == name).count();
        assert_eq!(count("id"), 200_000);
        assert_eq!(count("project_id"), USUAL.projects);
        assert_eq!(count("user_id"), USUAL.users());
        assert!(count("api_key_id") > USUAL.keys() * 9 / 10);
        assert_eq!(count("model"), MODELS.len());
        assert!(busiest > 40_000 && busiest < 50_000, "{busiest}");
    }

    #[test]
    fn events_lie_in_the_time_and_few_of_them_are_late() {
        let population = population(100_000);
        let (mut latest, mut late) = (0, 0);
        for number in 0..population.total {
            let event = population.event(number);
            assert!(event.time >= population.start && event.time < population.end);
            assert!(event.cached <= event.input);
            late += u64::from(event.time < latest);
            latest = latest.max(event.time);
        }
        assert!((50..200).contains(&late), "{late}");
        assert!(latest > population.end - 400);
        let addition = line(&population, &population.addition(3));
        assert_eq!(addition["timestamp"], population.end - 1);
        assert_eq!(addition["project_id"], "proj_0");
    }

    #[test]
    fn any_order_has_the_same_events() {
        let (ordered, any) = (population(5_000), population(5_000).in_any_order());
        let ids = |population: &Population| -> HashSet<_> {
            let ids = (0..population.total).map(|place| population.event(place).id());
            ids.collect()
        };
        assert_eq!(ids(&ordered), ids(&any));
        let days: HashSet<u64> = (0..100)
            .map(|place| any.event(place).time / SECONDS_PER_DAY)
            .collect();
        assert!(days.len() > 60, "{days:?}");
        assert_eq!(any.addition(0).id(), ordered.addition(0).id());
    }

    #[test]
    fn keys_in_turn_have_a_series_each() {
        let population = population(4_000).in_turn();
        let series = (0..population.total).map(|number| {
            let event = line(&population, &population.event(number));
            ["api_key_id", "model"].map(|name| event[name].to_string())
        });
        assert_eq!(series.collect::<HashSet<_>>().len(), USUAL.keys());
    }

    #[test]
    fn alike_are_second_key_and_model_and_nothing_else() {
        let (few, many) = (population(1_000), population(10_000).alike(10));
        let (mut ids, mut inputs) = (HashSet::new(), HashSet::new());
        for number in 0..many.total {
            let (one, event) = (few.event(number / 10), many.event(number));
            assert_eq!(
                (one.time, one.key, one.model),
                (event.time, event.key, event.model)
            );
            assert!(ids.insert(event.id()));
            inputs.insert(event.input);
        }
        assert!(inputs.len() > 4_000);
    }

    #[test]
    fn a_row_has_what_the_line_has() {
        let population = population(1_000);
        let event = population.event(77);
        let (line, mut row) = (line(&population, &event), Vec::new());
        population.write_row(&event, &mut row);
        let mut rest = row.as_slice();
        for name in ["id", "project_id", "user_id", "api_key_id", "model"] {
            let (text, after) = rest[1..].split_at(usize::from(rest[0]));
            assert_eq!(line[name], String::from_utf8_lossy(text).as_ref());
            rest = after;
        }
        for name in [
            "timestamp",
            "input_tokens",
            "input_cached_tokens",
            "output_tokens",
        ] {
            let (number, after) = rest.split_first_chunk().unwrap();
            assert_eq!(line[name], u32::from_le_bytes(*number));
            rest = after;
        }
        assert_eq!(rest.len(), 24);
    }
}
