//! The progress of a long task, on one line of the terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// A line on stderr, removed when dropped. Nothing is shown if stderr is no terminal.
pub struct Progress {
    /// The noun that is counted: `events sent`.
    noun: &'static str,
    bar: ProgressBar,
}

impl Progress {
    /// Creates the line; it is shown from the first update on.
    #[must_use]
    pub fn new(noun: &'static str) -> Self {
        let bar = ProgressBar::no_length();
        bar.set_style(ProgressStyle::with_template("{msg}").expect("a valid template"));
        Self { noun, bar }
    }

    /// Shows how many are done, and of how many if that is known.
    pub fn update(&self, done: u64, total: Option<u64>) {
        self.show(|| line(done, total, self.noun));
    }

    /// Shows another text than [`Progress::update`] does.
    pub fn show(&self, text: impl FnOnce() -> String) {
        if !self.bar.is_hidden() {
            self.bar.set_message(text());
        }
    }

    /// Removes the line while `write` writes other lines.
    pub fn suspend<T>(&self, write: impl FnOnce() -> T) -> T {
        self.bar.suspend(write)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn line(done: u64, total: Option<u64>, noun: &str) -> String {
    match total {
        Some(total) => format!("{done} of {total} {noun}"),
        None => format!("{done} {noun}"),
    }
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn line_tells_how_many_are_done() {
        assert_eq!(line(5, None, "events sent"), "5 events sent");
        assert_eq!(line(5, Some(9), "events sent"), "5 of 9 events sent");
    }
}
