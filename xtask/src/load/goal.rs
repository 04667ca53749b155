//! Goals, and the figures that they are compared with.

use super::figures::{hundredths, table};

/// Result of one part: its text in the document, and its goals.
#[derive(Default)]
pub struct Section {
    pub text: String,
    pub goals: Vec<Goal>,
    /// Figures by name that are compared between database systems, in microseconds.
    pub compared: Vec<(String, f64)>,
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

impl Section {
    /// Names PostgreSQL in the heading and in each goal.
    pub fn on_postgres(mut self) -> Self {
        if let Some(end) = self.text.find('\n') {
            self.text.insert_str(end, " on PostgreSQL");
        }
        for goal in &mut self.goals {
            goal.what.insert_str(0, "PostgreSQL: ");
        }
        self
    }

    /// Returns a goal for each compared figure of both sections: this one's, at most `ratio` times the other's.
    pub fn compare(&self, other: &Self, ratio: f64) -> Vec<Goal> {
        let found = |(name, own): &(String, f64)| {
            let (_, other) = other.compared.iter().find(|(of, _)| of == name)?;
            let what = format!("PostgreSQL ÷ SQLite: {name}");
            Some(Goal::at_most(what, ratio, own / other, hundredths))
        };
        self.compared.iter().filter_map(found).collect()
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

    #[test]
    fn sections_of_two_systems_are_compared_by_name() {
        let section = |figures: &[(&str, f64)]| Section {
            text: "### Part\n\ntext\n".to_owned(),
            goals: vec![Goal::at_least("rate", 1.0, 2.0, whole)],
            compared: figures
                .iter()
                .map(|(name, figure)| ((*name).to_owned(), *figure))
                .collect(),
        };
        let sqlite = section(&[("a", 10.0), ("b", 10.0), ("c", 1.0)]);
        let postgres = section(&[("a", 20.0), ("b", 21.0)]).on_postgres();
        let text = describe(&postgres.compare(&sqlite, 2.0));
        assert!(text.contains("| PostgreSQL ÷ SQLite: a | ≤ 2.00 | 2.00 | met |"));
        assert!(text.contains("| PostgreSQL ÷ SQLite: b | ≤ 2.00 | 2.10 | missed |"));
        assert!(!text.contains("SQLite: c"));
        assert!(postgres.text.starts_with("### Part on PostgreSQL\n\n"));
        assert!(describe(&postgres.goals).contains("| PostgreSQL: rate |"));
    }
}
