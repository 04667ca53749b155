//! Usage of the demo: a year of requests that follow working hours, weekends and seasons, grow, move to new models, and
//! once run away.

use std::collections::HashMap;

use base::UnixTime;
use base::ids::{KeyId, OrganizationId, ProjectId, UserId};
use base::time::{SECONDS_PER_DAY, SECONDS_PER_HOUR};
use usage::{Metric, Outcome, Quantities, UsageEvent, UsageKind};

use super::dice::Dice;
use super::plan::{Application, Call, DAY_COUNT, Model, PROJECTS, Project, RUNAWAY, Rhythm};

/// Days before the start of the demo with an event for each hour; earlier days have one for four hours.
const HOURLY_DAY_COUNT: i64 = 35;
/// Seconds of the slots of earlier days.
const LONG_SLOT_SECONDS: i64 = 4 * SECONDS_PER_HOUR;

/// Ids of the key of an application, and of what the key belongs to.
pub(super) struct Caller {
    pub(super) project_id: ProjectId,
    pub(super) api_key_id: KeyId,
    pub(super) user_id: Option<UserId>,
}

/// Callers, by project and application.
pub(super) type Callers = HashMap<(&'static str, &'static str), Caller>;

/// Generator of usage events.
pub(super) struct Traffic<'a> {
    pub(super) organization_id: &'a OrganizationId,
    pub(super) callers: &'a Callers,
    /// Midnight of the first day.
    pub(super) founded: UnixTime,
    pub(super) now: UnixTime,
    pub(super) dice: Dice,
}

/// A time in which the requests of a key are one event.
#[derive(Clone, Copy)]
struct Slot {
    day: i64,
    start: UnixTime,
    seconds: i64,
}

impl Traffic<'_> {
    /// Returns the events of a day, counted from the founding.
    pub(super) fn of_day(&mut self, day: i64) -> Vec<UsageEvent> {
        let seconds = if day >= DAY_COUNT - HOURLY_DAY_COUNT {
            SECONDS_PER_HOUR
        } else {
            LONG_SLOT_SECONDS
        };
        let mut events = Vec::new();
        for number in 0..SECONDS_PER_DAY / seconds {
            let start = self.founded.plus(day * SECONDS_PER_DAY + number * seconds);
            let slot = Slot {
                day,
                start,
                seconds,
            };
            // The keys of a project are made on its first day.
            for project in &PROJECTS {
                if project.days.contains(&day) && project.days.start < day {
                    self.add_project(slot, project, &mut events);
                }
            }
        }
        events
    }

    fn add_project(&mut self, slot: Slot, project: &Project, events: &mut Vec<UsageEvent>) {
        let expected = expected_requests(project, slot);
        for application in project.applications {
            for call in project.calls {
                let expected = expected * application.share * call.share;
                let new_share = share_of_new(&call.model, slot.day);
                for (model, share) in [
                    (call.model.old, 1.0 - new_share),
                    (call.model.new, new_share),
                ] {
                    let expected = self.dice.around(expected * share, 0.25);
                    let requests = self.dice.count(expected);
                    if requests > 0 {
                        let event = self.event(slot, (project, application), call, requests);
                        let id = format!("demo-{}-{}", slot.day, events.len());
                        events.extend(event.map(|event| UsageEvent {
                            id,
                            model: Some(model.to_owned()),
                            ..event
                        }));
                    }
                }
            }
        }
    }

    /// Returns the event of several requests; `None` if it would lie in the future.
    fn event(
        &mut self,
        slot: Slot,
        (project, application): (&Project, &Application),
        call: &Call,
        requests: i64,
    ) -> Option<UsageEvent> {
        let timestamp = slot.start.plus(self.dice.below(slot.seconds));
        let caller = self.callers.get(&(project.name, application.name))?;
        if timestamp > self.now {
            return None;
        }
        let event = UsageEvent::new(
            String::new(),
            timestamp,
            self.organization_id.clone(),
            caller.project_id.clone(),
            call.kind,
            self.quantities(call, requests),
        );
        Some(UsageEvent {
            user_id: caller.user_id.clone(),
            api_key_id: Some(caller.api_key_id.clone()),
            size: (call.kind == UsageKind::Images).then(|| "1024x1024".to_owned()),
            source: (call.kind == UsageKind::Images).then(|| "image.generation".to_owned()),
            context_level: (call.kind == UsageKind::WebSearchCalls).then(|| "medium".to_owned()),
            outcome: Outcome::Reported,
            ..event
        })
    }

    fn quantities(&mut self, call: &Call, requests: i64) -> Quantities {
        let mut amount = |mean: f64| {
            let sum = self.dice.around(mean, 0.15) * requests as f64;
            sum.round() as i64
        };
        let (input, output) = (amount(call.input), amount(call.output));
        let mut quantities = Quantities::default();
        quantities.set(Metric::NumModelRequests, requests);
        match call.kind {
            UsageKind::Images => quantities.set(Metric::Images, requests),
            UsageKind::AudioTranscriptions => quantities.set(Metric::Seconds, input),
            UsageKind::WebSearchCalls => quantities.set(Metric::NumRequests, requests),
            UsageKind::Embeddings => quantities.set(Metric::InputTokens, input),
            _ => {
                let cached = (input as f64 * call.cached).round() as i64;
                quantities.set(Metric::InputTokens, input);
                quantities.set(Metric::InputCachedTokens, cached);
                quantities.set(Metric::InputUncachedTokens, input - cached);
                quantities.set(Metric::OutputTokens, output);
            }
        }
        quantities
    }
}

/// Returns the part of a model's requests that its successor has on a day.
fn share_of_new(model: &Model, day: i64) -> f64 {
    if model.old == model.new {
        return 1.0;
    }
    let passed = (day - model.days.start) as f64;
    (passed / (model.days.end - model.days.start) as f64).clamp(0.0, 1.0)
}

/// Returns the requests of a project in a slot, before chance.
fn expected_requests(project: &Project, slot: Slot) -> f64 {
    let age = (slot.day - project.days.start) as f64 / DAY_COUNT as f64;
    let mut expected = project.requests * project.growth.powf(age);
    // A new project is taken up within two weeks.
    let passed = (slot.day - project.days.start) as f64;
    expected *= (passed / 14.0).min(1.0);
    if RUNAWAY.0 == project.name && RUNAWAY.1.contains(&slot.day) {
        expected *= RUNAWAY.2;
    }
    let hours = slot.seconds / SECONDS_PER_HOUR;
    let first = slot.start.0.rem_euclid(SECONDS_PER_DAY) / SECONDS_PER_HOUR;
    let weights = (first..first + hours).map(|hour| weight_of_hour(project.rhythm, hour));
    let weekend = is_weekend(slot.start);
    expected * weight_of_day(project.rhythm, weekend) * weights.sum::<f64>() / 24.0
}

/// True on Saturdays and Sundays, UTC.
fn is_weekend(time: UnixTime) -> bool {
    // 1970-01-01 was a Thursday.
    (time.0.div_euclid(SECONDS_PER_DAY) + 3).rem_euclid(7) >= 5
}

/// Returns the requests of a day, relative to a weekday.
fn weight_of_day(rhythm: Rhythm, is_weekend: bool) -> f64 {
    match (rhythm, is_weekend) {
        (_, false) => 1.0,
        (Rhythm::Office, true) => 0.12,
        (Rhythm::Evening, true) => 1.3,
        (Rhythm::Always, true) => 0.82,
        (Rhythm::Night, true) => 0.6,
    }
}

/// Returns the requests of an hour, relative to the average one.
fn weight_of_hour(rhythm: Rhythm, hour: i64) -> f64 {
    let (peak, width, base) = match rhythm {
        Rhythm::Office => (13, 5.0, 0.05),
        Rhythm::Evening => (20, 5.0, 0.25),
        Rhythm::Always => (15, 8.0, 0.55),
        Rhythm::Night => (3, 3.0, 0.02),
    };
    let distance = (hour - peak)
        .rem_euclid(24)
        .min((peak - hour).rem_euclid(24)) as f64;
    let bump = |distance: f64| (1.0 - distance / width).max(0.0);
    // The areas of the bumps of all hours and of the base add up to a day.
    let area: f64 = (-12..12).map(|at: i64| bump(at.abs() as f64)).sum();
    base + bump(distance) / area * 24.0 * (1.0 - base)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Monday, 2 March 2026.
    const MONDAY: UnixTime = UnixTime(1_772_409_600);

    fn callers() -> Callers {
        let mut callers = Callers::new();
        for project in &PROJECTS {
            for application in project.applications {
                let caller = Caller {
                    project_id: base::ids::Id::from_text(project.name.to_owned()),
                    api_key_id: base::ids::Id::from_text(application.name.to_owned()),
                    user_id: None,
                };
                callers.insert((project.name, application.name), caller);
            }
        }
        callers
    }

    /// Returns the requests of a project on some days, by model.
    fn requests(project: &str, days: std::ops::Range<i64>) -> HashMap<String, i64> {
        let (callers, organization_id) = (callers(), base::ids::Id::from_text("org-1".to_owned()));
        let mut traffic = Traffic {
            organization_id: &organization_id,
            callers: &callers,
            founded: MONDAY,
            now: MONDAY.plus(DAY_COUNT * SECONDS_PER_DAY),
            dice: Dice::new(1),
        };
        let mut sums = HashMap::new();
        for event in days.flat_map(|day| traffic.of_day(day)) {
            if event.project_id.to_string() == project && event.kind == UsageKind::Completions {
                let model = event.model.unwrap_or_default();
                *sums.entry(model).or_default() +=
                    event.quantities.or_zero(Metric::NumModelRequests);
            }
        }
        sums
    }

    fn sum(project: &str, days: std::ops::Range<i64>) -> i64 {
        requests(project, days).values().sum()
    }

    #[test]
    fn hours_of_a_rhythm_add_up_to_a_day() {
        for rhythm in [
            Rhythm::Office,
            Rhythm::Evening,
            Rhythm::Always,
            Rhythm::Night,
        ] {
            let sum: f64 = (0..24).map(|hour| weight_of_hour(rhythm, hour)).sum();
            assert!((sum - 24.0).abs() < 1e-6, "{sum}");
        }
    }

    #[test]
    fn weekends_are_quiet_projects_grow_and_one_runs_away() {
        // Days 140 to 146 are a week from Monday on.
        let weekday = sum("Support desk", 140..145) / 5;
        let weekend = sum("Support desk", 145..147) / 2;
        assert!(weekend * 4 < weekday, "{weekend} of {weekday}");
        let (early, late) = (sum("Mobile app", 56..63), sum("Mobile app", 350..357));
        assert!(late > 2 * early, "{late} after {early}");
        let (before, during) = (
            sum("Data pipeline", 196..203),
            sum("Data pipeline", 206..213),
        );
        assert!(during > 6 * before, "{during} after {before}");
        assert_eq!(sum("Onboarding pilot", 140..147), 0);
    }

    #[test]
    fn a_new_model_takes_the_place_of_an_old_one() {
        let models = |days| {
            let mut models: Vec<_> = requests("Support desk", days).into_keys().collect();
            models.sort();
            models
        };
        assert_eq!(models(240..245), ["gpt-5.1"]);
        assert_eq!(models(280..285), ["gpt-5.1", "gpt-5.6-terra"]);
        assert_eq!(models(310..315), ["gpt-5.6-terra"]);
    }

    #[test]
    fn every_start_has_the_same_traffic_and_none_in_the_future() {
        assert_eq!(requests("Search", 100..103), requests("Search", 100..103));
        assert_eq!(sum("Search", DAY_COUNT + 1..DAY_COUNT + 2), 0);
    }
}
