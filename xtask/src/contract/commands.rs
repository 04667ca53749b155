//! Differences between the table of our commands and that of the published command line.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::explained;

/// Our table, made from the registry.
const OURS: &str = "docs/commands.md";
/// The published one, when it lies beside the checkout.
const BESIDE: &str = "../shared/contract/cli.md";
/// Text that stands for the flags of every usage report in the published table.
const REPORT: &str = "--start-time* int (q), --end-time int (q), --bucket-width str (q), --limit int (q), --page str (q), \
                      --project-id str… (q:project_ids)";

/// Facts of a table: by a command and an aspect of it, its value.
type Facts = BTreeMap<String, String>;

/// Fails when there is a difference without an explanation. Commands that only we have are marked in our table.
pub fn check(root: &Path) -> Result<Option<String>> {
    let Ok(published) = fs::read_to_string(root.join(BESIDE)) else {
        return Ok(Some(format!("left out: there is no {BESIDE}")));
    };
    let ours = fs::read_to_string(root.join(OURS)).context(OURS)?;
    explained::check(
        root,
        "commands",
        &differences(&facts(&published), &facts(&ours)),
    )
    .map(Some)
}

fn differences(there: &Facts, here: &Facts) -> BTreeSet<String> {
    let names: BTreeSet<&String> = there.keys().chain(here.keys()).collect();
    let difference = |name: &String| match (there.get(name), here.get(name)) {
        (Some(there), Some(here)) if there == here => None,
        (Some(there), Some(here)) => Some(format!("{name}: {there} there, {here} here")),
        (Some(_), None) => Some(format!("{name}: missing here")),
        (None, _) => Some(format!("{name}: only here")),
    };
    names.into_iter().filter_map(difference).collect()
}

fn facts(text: &str) -> Facts {
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    rows.filter_map(row).flatten().collect()
}

/// Returns the facts of one line: command, marks, positionals, flags, request.
fn row(line: &str) -> Option<Vec<(String, String)>> {
    let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
    let [command, marks, positionals, flags, request] = cells[..] else {
        return None;
    };
    let command = command.trim_matches('`');
    if marks.contains('X') {
        return None;
    }
    let mut facts = vec![
        (command.to_owned(), request.to_owned()),
        (format!("{command} marks"), marks.replace('+', "")),
        (format!("{command} positionals"), positionals.to_owned()),
    ];
    for flag in split(&flags.replace("U, ", &format!("{REPORT}, "))) {
        facts.extend(flag_facts(command, &flag));
    }
    Some(facts)
}

/// Returns the parts between commas that are not in braces.
fn split(flags: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0;
    for letter in flags.chars() {
        depth += i32::from(letter == '{') - i32::from(letter == '}');
        if letter == ',' && depth == 0 {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(letter);
        }
    }
    let parts = parts.iter().map(|part| part.trim().to_owned());
    parts.filter(|part| !part.is_empty()).collect()
}

/// Returns a flag with its type and place, and its inner flags with their types. Defaults are the server's business.
fn flag_facts(command: &str, flag: &str) -> Vec<(String, String)> {
    let (outer, inner) = flag.split_once('{').unwrap_or((flag, ""));
    let words: Vec<&str> = outer.split_whitespace().collect();
    let [name, kind, place, ..] = words[..] else {
        return vec![(format!("{command} {flag}"), "not understood".to_owned())];
    };
    let kind = kind.split('=').next().unwrap_or(kind);
    let star = if name.ends_with('*') { "*" } else { "" };
    let name = name.trim_end_matches('*');
    let mut facts = vec![(format!("{command} {name}"), format!("{kind}{star} {place}"))];
    for field in split(inner.trim_end_matches('}')) {
        if let Some((field, kind)) = field.split_once(' ') {
            facts.push((format!("{command} {name}{field}"), kind.to_owned()));
        }
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::*;

    const THERE: &str = "\
| `users list` | A |  | --after str (q), --limit int=20 (q) | GET `/users` |
| `users create` | J+ | `<id>` | --id* str (p), --at yaml (b) {.gt int, .lt int} | POST `/users/{id}` |
";

    fn against(ours: &str) -> Vec<String> {
        differences(&facts(THERE), &facts(ours))
            .into_iter()
            .collect()
    }

    #[test]
    fn marks_of_age_and_defaults_are_no_differences() {
        let ours = THERE.replace("=20", "").replace("J+", "J");
        assert_eq!(against(&ours), Vec::<String>::new());
    }

    #[test]
    fn everything_else_is() {
        let ours = THERE
            .replace("--after str", "--after str?")
            .replace(", .lt int", "")
            .replace("POST", "PUT")
            .replace("| A |", "|  |");
        assert_eq!(
            against(&ours),
            [
                "users create --at.lt: missing here",
                "users create: POST `/users/{id}` there, PUT `/users/{id}` here",
                "users list --after: str (q) there, str? (q) here",
                "users list marks: A there,  here",
            ]
        );
        assert!(
            against("")
                .iter()
                .all(|line| line.ends_with("missing here"))
        );
    }

    #[test]
    fn what_is_marked_as_ours_is_left_out() {
        let ours = format!("{THERE}| `users shout` | X |  |  | POST `/shout` |\n");
        assert_eq!(against(&ours), Vec::<String>::new());
    }
}
