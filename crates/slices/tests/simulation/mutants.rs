//! Rules that keep limits exact, each taken away: the simulation must then find a run that exceeds its limit. The rules that
//! cover less than a second are in `directed.rs`.

use slices::Safeguards;

use crate::database::DatabaseRules;
use crate::faults::{CUT_OFF_ID, LOSSY_FAILOVER_ID};
use crate::scenario::Scenario;
use crate::world::run;

/// The most seeds that may be needed to notice that a rule is missing.
const MAX_SEEDS: u64 = 100;

without!(WithoutSmallerSlice, SMALLER_SLICE);
without!(WithoutDeadSlices, DEAD_SLICES_COUNT);
without!(WithoutPush, PUSH_GENERATION);
without!(WithoutClosedGenerations, CLOSED_GENERATION);
without!(WithoutClockShift, CLOCK_SHIFT);

/// Asserts that a run of one of the scenarios exceeds its limit.
fn assert_caught<S: Safeguards>(rule: &str, scenarios: &[Scenario]) {
    for seed in 1..=MAX_SEEDS {
        if scenarios
            .iter()
            .any(|scenario| run::<S>(seed, scenario).most > scenario.limit)
        {
            return;
        }
    }
    panic!("{rule}: {MAX_SEEDS} seeds exceed no limit");
}

fn scenarios() -> [Scenario; 3] {
    [
        Scenario::new(60, false, 3),
        Scenario::new(3, false, 3),
        Scenario::new(40_000, true, 3),
    ]
}

#[test]
fn spending_more_than_both_slices_have_is_caught() {
    assert_caught::<WithoutSmallerSlice>("smaller slice", &scenarios());
}

#[test]
fn forgetting_the_slices_of_the_dead_is_caught() {
    assert_caught::<WithoutDeadSlices>("slices of the dead", &scenarios());
}

#[test]
fn acknowledging_a_generation_before_use_is_pushed_is_caught() {
    let scenarios = scenarios().map(|scenario| Scenario {
        only_fault: Some(LOSSY_FAILOVER_ID),
        fault_interval: (65_000.0, 90_000.0),
        ..scenario
    });
    assert_caught::<WithoutPush>("push", &scenarios);
}

#[test]
fn granting_in_a_closed_generation_is_caught() {
    assert_caught::<WithoutClosedGenerations>("closed generations", &scenarios());
}

#[test]
fn keeping_dates_of_a_clock_that_was_set_is_caught() {
    assert_caught::<WithoutClockShift>("clock shift", &scenarios());
}

#[test]
fn database_that_compares_no_versions_is_caught() {
    let database = DatabaseRules {
        compares_versions: false,
        ..DatabaseRules::ALL
    };
    let scenarios = scenarios().map(|scenario| Scenario {
        database,
        ..scenario
    });
    assert_caught::<slices::AllSafeguards>("versions", &scenarios);
}

#[test]
fn database_that_knows_no_generations_is_caught() {
    let database = DatabaseRules {
        compares_generations: false,
        ..DatabaseRules::ALL
    };
    let scenarios = scenarios().map(|scenario| Scenario {
        database,
        ..scenario
    });
    assert_caught::<slices::AllSafeguards>("generations", &scenarios);
}

#[test]
fn database_that_opens_without_the_dead_is_caught() {
    let database = DatabaseRules {
        waits_for_the_dead: false,
        ..DatabaseRules::ALL
    };
    let scenarios = scenarios().map(|scenario| Scenario {
        database,
        ..scenario
    });
    assert_caught::<slices::AllSafeguards>("the dead", &scenarios);
}

#[test]
fn node_that_does_not_end_its_session_is_caught() {
    let scenarios = scenarios().map(|scenario| Scenario {
        ends_sessions: false,
        only_fault: Some(CUT_OFF_ID),
        fault_interval: (100_000.0, 120_000.0),
        minutes: 12.0,
        demand: 30.0,
        ..scenario
    });
    assert_caught::<slices::AllSafeguards>("end of sessions", &scenarios);
}
