//! Goals, and the figures that they are compared with.

use super::figures::table;

/// Result of one part: its text in the document, and its goals.
pub struct Section {
    pub text: String,
    pub goals: Vec<Goal>,
}

/// A figure and its bound.
pub struct Goal {
    what: String,
    wanted: String,
    found: String,
    is_met: bool,
}

impl Goal {
    /// Makes a goal of a figure that should not be below its bound.
    pub fn at_least(
        what: impl Into<String>,
        bound: f64,
        found: f64,
        show: fn(f64) -> String,
    ) -> Self {
        Self {
            what: what.into(),
            wanted: format!("≥ {}", show(bound)),
            found: show(found),
            is_met: found >= bound,
        }
    }

    /// Makes a goal of a figure that should not be above its bound.
    pub fn at_most(
        what: impl Into<String>,
        bound: f64,
        found: f64,
        show: fn(f64) -> String,
    ) -> Self {
        Self {
            what: what.into(),
            wanted: format!("≤ {}", show(bound)),
            found: show(found),
            is_met: found <= bound,
        }
    }
}

/// Returns a table of all goals.
pub fn describe(goals: &[Goal]) -> String {
    let row = |goal: &Goal| {
        let verdict = if goal.is_met { "met" } else { "missed" };
        vec![
            goal.what.clone(),
            goal.wanted.clone(),
            goal.found.clone(),
            verdict.to_owned(),
        ]
    };
    let rows: Vec<_> = goals.iter().map(row).collect();
    let table = table(&["goal", "wanted", "found", ""], &rows);
    format!("### Goals\n\n{table}")
}

#[cfg(test)]
mod tests {
    use super::super::figures::whole;
    use super::*;

    #[test]
    fn a_goal_is_met_at_its_bound() {
        let goals = [
            Goal::at_least("rate", 3_000.0, 3_000.0, whole),
            Goal::at_most("cost", 30.0, 31.0, whole),
            Goal::at_most("cost", 30.0, f64::NAN, whole),
        ];
        let text = describe(&goals);
        assert!(text.contains("| rate | ≥ 3,000 | 3,000 | met |"));
        assert!(text.contains("| cost | ≤ 30 | 31 | missed |"));
        assert!(!goals[2].is_met);
    }
}
