//! How far something has come that takes a while, on one line of the terminal.

use std::io::{IsTerminal, Write};

use base::time::Stopwatch;

/// How often the line is written anew at the most, in milliseconds.
const EVERY: u64 = 100;

/// A line on stderr, if that is a terminal, which goes away in the end.
pub struct Progress {
    /// What is counted: `events sent`.
    what: &'static str,
    is_terminal: bool,
    shown: Option<Stopwatch>,
}

impl Progress {
    /// Nothing is shown before the first [`Progress::at`].
    #[must_use]
    pub fn of(what: &'static str) -> Self {
        Self {
            what,
            is_terminal: std::io::stderr().is_terminal(),
            shown: None,
        }
    }

    /// So many are done, of so many if that is known.
    pub fn at(&mut self, done: u64, of: Option<u64>) {
        let line = self.line(done, of);
        self.show(|| line);
    }

    /// Shows another line than [`Progress::at`] does.
    pub fn show(&mut self, line: impl FnOnce() -> String) {
        let is_due = self
            .shown
            .as_ref()
            .is_none_or(|shown| shown.milliseconds() >= EVERY);
        if self.is_terminal && is_due {
            self.shown = Some(Stopwatch::start());
            write(&format!("\r\x1b[2K{}", line()));
        }
    }

    /// Takes the line away, so that another can be written in its place.
    pub fn clear(&mut self) {
        if self.shown.take().is_some() {
            write("\r\x1b[2K");
        }
    }

    fn line(&self, done: u64, of: Option<u64>) -> String {
        match of {
            Some(of) => format!("{done} of {of} {}", self.what),
            None => format!("{done} {}", self.what),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Nobody is left to show it to when stderr is closed.
fn write(text: &str) {
    let mut stderr = std::io::stderr();
    let _ = stderr.write_all(text.as_bytes());
    let _ = stderr.flush();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_it_is() {
        let progress = Progress::of("events sent");
        assert_eq!(progress.line(5, None), "5 events sent");
        assert_eq!(progress.line(5, Some(9)), "5 of 9 events sent");
    }
}
