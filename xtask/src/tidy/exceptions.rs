//! Places where a rule may be broken for now: `xtask/tidy-exceptions.toml`.
//!
//! The file has an array of places for each rule, `path: name`. It only shrinks: an exception without a finding is an error.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};

use super::{File, Finding, RULES};

/// Path of the list in the repository.
pub const PATH: &str = "xtask/tidy-exceptions.toml";

/// The places of each rule, by its name.
#[derive(Default)]
pub struct Exceptions(BTreeMap<String, BTreeSet<String>>);

impl Exceptions {
    /// Reads the list; a repository without the file has no exceptions.
    ///
    /// # Errors
    /// The file is not TOML of this shape.
    pub fn read(files: &[File]) -> Result<Self> {
        let file = files.iter().find(|file| file.path == PATH);
        file.map_or(Ok(Self::default()), |file| Self::parse(&file.text))
    }

    fn parse(text: &str) -> Result<Self> {
        let table: toml::Table = text.parse().context(PATH)?;
        let mut rules = BTreeMap::new();
        for (rule, places) in table {
            let places = places.as_array().map(Vec::as_slice).unwrap_or_default();
            let places = places.iter().filter_map(toml::Value::as_str);
            rules.insert(rule, places.map(str::to_owned).collect());
        }
        Ok(Self(rules))
    }

    /// Returns a line for each finding that is no exception and each exception that is no finding.
    pub fn complaints(&self, findings: &[(&str, Vec<Finding>)]) -> Vec<String> {
        let none = BTreeSet::new();
        let mut complaints = Vec::new();
        for (rule, found) in findings {
            let allowed = self.0.get(*rule).unwrap_or(&none);
            let found_places: BTreeSet<_> = found.iter().map(Finding::place).collect();
            let refused = found.iter().filter(|it| !allowed.contains(&it.place()));
            complaints.extend(refused.map(|it| format!("{} [{rule}]", line(it))));
            let stale = allowed.difference(&found_places);
            complaints.extend(stale.map(|place| {
                format!("{PATH}: {rule}: `{place}` is in order and must be removed from the list")
            }));
        }
        let unknown = |name: &&String| !RULES.iter().any(|rule| rule.name == name.as_str());
        let unknown = self.0.keys().filter(unknown);
        complaints.extend(unknown.map(|rule| format!("{PATH}: there is no rule `{rule}`")));
        complaints
    }

    /// Returns how many exceptions there are, in all and for each rule that has any.
    pub fn summary(&self) -> String {
        let count: usize = self.0.values().map(BTreeSet::len).sum();
        let rules: Vec<_> = self
            .0
            .iter()
            .map(|(rule, places)| format!("{rule} {}", places.len()))
            .collect();
        match count {
            0 => "no exceptions".to_owned(),
            _ => format!("{count} exceptions: {}", rules.join(", ")),
        }
    }
}

/// Returns a finding as compilers write theirs.
pub fn line(finding: &Finding) -> String {
    format!("{}:{}: {}", finding.path, finding.line, finding.message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(name: &str) -> Finding {
        File::new("a.rs", "").at(0, name, "must be shorter")
    }

    #[test]
    fn findings_in_the_list_are_no_complaints() {
        let findings = [
            ("clock", vec![finding("a \"b\""), finding("c")]),
            ("sleep", vec![]),
        ];
        let text = "clock = [\"a.rs: a \\\"b\\\"\", \"a.rs: c\"]\nsleep = []";
        let exceptions = Exceptions::parse(text).unwrap();
        assert_eq!(exceptions.summary(), "2 exceptions: clock 2, sleep 0");
        assert!(exceptions.complaints(&findings).is_empty());
    }

    #[test]
    fn findings_outside_the_list_are_complaints() {
        let complaints = Exceptions::default().complaints(&[("clock", vec![finding("a")])]);
        assert_eq!(complaints, ["a.rs:1: must be shorter [clock]"]);
    }

    #[test]
    fn exceptions_without_a_finding_are_complaints() {
        let exceptions = Exceptions::parse("clock = [\"a.rs: a\"]").unwrap();
        let complaints = exceptions.complaints(&[("clock", vec![])]);
        assert_eq!(
            complaints,
            [format!(
                "{PATH}: clock: `a.rs: a` is in order and must be removed from the list"
            )]
        );
    }

    #[test]
    fn exceptions_from_an_unknown_rule_are_complaints() {
        let exceptions = Exceptions::parse("manners = []").unwrap();
        assert_eq!(
            exceptions.complaints(&[]),
            [format!("{PATH}: there is no rule `manners`")]
        );
    }
}
