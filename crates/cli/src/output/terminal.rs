//! The terminal that responses are shown on.

use std::io::{IsTerminal as _, stdout};

use ratatui_crossterm::crossterm::terminal::size;

/// The size that is assumed if the terminal tells none.
const DEFAULT_SIZE: (u16, u16) = (80, 24);

/// The properties of standard output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terminal {
    /// True if standard output is a terminal.
    pub is_terminal: bool,
    /// The width in columns.
    pub width: u16,
    /// The height in rows.
    pub height: u16,
    /// True if output is coloured.
    pub colour: bool,
}

impl Terminal {
    /// Returns the properties of standard output, as changed by the environment variables `FORCE_COLOR` (`1` or `0`),
    /// `NO_COLOR`, `TERM` and `COLUMNS`.
    pub fn of_stdout() -> Self {
        let is_terminal = stdout().is_terminal();
        let size = is_terminal.then(|| size().ok()).flatten();
        Self::of(is_terminal, size, |name| std::env::var(name).ok())
    }

    fn of(
        is_terminal: bool,
        size: Option<(u16, u16)>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Self {
        let (width, height) = size
            .filter(|(width, height)| *width > 0 && *height > 0)
            .unwrap_or(DEFAULT_SIZE);
        let columns = variable("COLUMNS").and_then(|columns| columns.parse().ok());
        let is_plain = variable("NO_COLOR").is_some_and(|value| !value.is_empty())
            || variable("TERM").as_deref() == Some("dumb");
        let colour = match variable("FORCE_COLOR").as_deref() {
            Some("1") => true,
            Some("0") => false,
            _ => is_terminal && !is_plain,
        };
        Terminal {
            is_terminal,
            width: columns.filter(|columns| *columns > 0).unwrap_or(width),
            height,
            colour,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn colour(is_terminal: bool, variables: &[(&str, &str)]) -> bool {
        of(is_terminal, None, variables).colour
    }

    fn of(is_terminal: bool, size: Option<(u16, u16)>, variables: &[(&str, &str)]) -> Terminal {
        Terminal::of(is_terminal, size, |name| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn terminal_is_coloured_unless_environment_forbids_it() {
        assert!(colour(true, &[]));
        assert!(!colour(false, &[]));
        assert!(colour(false, &[("FORCE_COLOR", "1"), ("NO_COLOR", "1")]));
        assert!(!colour(true, &[("FORCE_COLOR", "0")]));
        assert!(!colour(true, &[("NO_COLOR", "1")]));
        assert!(colour(true, &[("NO_COLOR", "")]));
        assert!(!colour(true, &[("TERM", "dumb")]));
    }

    #[test]
    fn width_comes_from_terminal_or_environment() {
        let size = |terminal: Terminal| (terminal.width, terminal.height);
        assert_eq!(size(of(true, Some((120, 50)), &[])), (120, 50));
        assert_eq!(size(of(true, Some((0, 0)), &[])), DEFAULT_SIZE);
        assert_eq!(size(of(false, None, &[("COLUMNS", "132")])), (132, 24));
        assert_eq!(
            size(of(true, Some((120, 50)), &[("COLUMNS", "0")])),
            (120, 50)
        );
    }
}
