//! Paging: output that is longer than the screen goes through the user's pager.

use std::io::{self, ErrorKind, Write};
use std::process::{Child, Command, Stdio};

use anyhow::Result;

use super::characters::columns;
use super::terminal::Terminal;

/// Runs `work` with a writer whose output is paged. A reader that closes its end is no error.
pub fn through(
    out: &mut dyn Write,
    terminal: &Terminal,
    work: impl FnOnce(&mut dyn Write) -> Result<()>,
) -> Result<()> {
    let words = if terminal.is_terminal {
        words(std::env::var("PAGER").ok().as_deref())
    } else {
        Vec::new()
    };
    paged(out, terminal, &words, work)
}

/// Returns the pager's program and arguments; empty if no pager is wanted.
fn words(pager: Option<&str>) -> Vec<String> {
    match pager.map(str::trim) {
        None => vec!["less".to_owned()],
        Some("" | "cat") => Vec::new(),
        Some(words) => words.split_whitespace().map(str::to_owned).collect(),
    }
}

fn paged(
    out: &mut dyn Write,
    terminal: &Terminal,
    words: &[String],
    work: impl FnOnce(&mut dyn Write) -> Result<()>,
) -> Result<()> {
    let mut output = PagedOutput {
        out,
        buffered: Vec::new(),
        rows: 0,
        terminal,
        words,
        destination: if words.is_empty() {
            Destination::Direct
        } else {
            Destination::Buffer
        },
        is_closed: false,
    };
    let worked = work(&mut output);
    let ended = output.end();
    if output.is_closed {
        return Ok(());
    }
    worked.and(ended.map_err(Into::into))
}

/// The destination of the output.
enum Destination {
    /// A buffer, as long as it fits on the screen.
    Buffer,
    /// The output itself.
    Direct,
    /// A pager.
    Pager(Child),
}

struct PagedOutput<'a> {
    out: &'a mut dyn Write,
    buffered: Vec<u8>,
    rows: usize,
    terminal: &'a Terminal,
    words: &'a [String],
    destination: Destination,
    /// True once the reader has closed its end.
    is_closed: bool,
}

impl PagedOutput<'_> {
    /// Writes to the destination, and records if the reader has closed its end.
    fn forward(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = match &mut self.destination {
            Destination::Buffer => {
                self.buffered.extend_from_slice(bytes);
                Ok(())
            }
            Destination::Direct => self.out.write_all(bytes),
            Destination::Pager(child) => match &mut child.stdin {
                Some(stdin) => stdin.write_all(bytes),
                None => Err(ErrorKind::BrokenPipe.into()),
            },
        };
        self.check_closed(written)
    }

    fn check_closed(&mut self, written: io::Result<()>) -> io::Result<()> {
        if let Err(error) = &written {
            self.is_closed |= error.kind() == ErrorKind::BrokenPipe;
        }
        written
    }

    /// Starts the pager with the buffered output; if that fails, the output is written directly.
    fn start_pager(&mut self) -> io::Result<()> {
        self.destination = spawn(self.words).map_or(Destination::Direct, Destination::Pager);
        let buffered = std::mem::take(&mut self.buffered);
        self.forward(&buffered)
    }

    fn end(&mut self) -> io::Result<()> {
        match &mut self.destination {
            Destination::Pager(child) => {
                drop(child.stdin.take());
                child.wait().map(|_| ())
            }
            Destination::Direct | Destination::Buffer => {
                let buffered = std::mem::take(&mut self.buffered);
                let written = self
                    .out
                    .write_all(&buffered)
                    .and_then(|()| self.out.flush());
                self.check_closed(written)
            }
        }
    }
}

impl Write for PagedOutput<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if matches!(self.destination, Destination::Buffer) {
            self.rows += rows(bytes, usize::from(self.terminal.width));
        }
        self.forward(bytes)?;
        if matches!(self.destination, Destination::Buffer)
            && self.rows >= usize::from(self.terminal.height)
        {
            self.start_pager()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Starts a pager. The options make `less` end if everything fits, keep colours and the text on the screen, and end on
/// Ctrl-C.
fn spawn(words: &[String]) -> Option<Child> {
    let (program, arguments) = words.split_first()?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped());
    for (name, value) in [("LESS", "FRXK"), ("LESSCHARSET", "utf-8")] {
        if std::env::var_os(name).is_none() {
            command.env(name, value);
        }
    }
    command.spawn().ok()
}

/// Returns the number of rows that whole lines take on the screen.
fn rows(bytes: &[u8], width: usize) -> usize {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.split_inclusive('\n');
    lines
        .map(|line| shown_columns(line.trim_end()).div_ceil(width.max(1)).max(1))
        .sum()
}

/// Returns the number of columns of a line without its colours.
fn shown_columns(line: &str) -> usize {
    let mut parts = line.split('\u{1b}');
    let first = parts.next().map_or(0, columns);
    let others = parts.map(|part| part.split_once('m').map_or(0, |(_, text)| columns(text)));
    first + others.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use anyhow::bail;

    use super::*;

    const SCREEN: Terminal = Terminal {
        is_terminal: true,
        width: 10,
        height: 3,
        colour: true,
    };

    /// A pager that writes what it reads to a file.
    fn tee(file: &std::path::Path) -> Vec<String> {
        vec!["tee".to_owned(), file.display().to_string()]
    }

    fn file(name: &str) -> std::path::PathBuf {
        let name = format!("orgplane-pager-{}-{name}", std::process::id());
        std::env::temp_dir().join(name)
    }

    #[test]
    fn only_output_longer_than_screen_is_paged() {
        let file = file("long");
        let mut out = Vec::new();
        paged(&mut out, &SCREEN, &tee(&file), |out| {
            Ok(write!(out, "1\n2\n")?)
        })
        .unwrap();
        assert_eq!(out, b"1\n2\n");
        assert!(!file.exists());

        let mut out = Vec::new();
        paged(&mut out, &SCREEN, &tee(&file), |out| {
            out.write_all(b"1\n2\n")?;
            Ok(out.write_all(b"3\n4\n")?)
        })
        .unwrap();
        assert!(out.is_empty());
        assert_eq!(fs::read(&file).unwrap(), b"1\n2\n3\n4\n");
        fs::remove_file(&file).unwrap();
    }

    #[test]
    fn rows_are_counted_as_the_screen_wraps_them() {
        assert_eq!(rows(b"0123456789\n", 10), 1);
        assert_eq!(rows(b"01234567890\n\n", 10), 3);
        assert_eq!(rows("\u{1b}[32m漢字漢字漢\u{1b}[0m\n".as_bytes(), 10), 1);
    }

    #[test]
    fn missing_or_unwanted_pager_is_skipped() {
        let missing = ["orgplane-no-such-pager".to_owned()];
        for words in [&missing[..], &[]] {
            let mut out = Vec::new();
            paged(&mut out, &SCREEN, words, |out| {
                Ok(out.write_all(b"1\n2\n3\n4\n")?)
            })
            .unwrap();
            assert_eq!(out, b"1\n2\n3\n4\n");
        }
        assert_eq!(words(Some("most -s")), ["most", "-s"]);
        assert_eq!(words(None), ["less"]);
        assert!(words(Some("")).is_empty() && words(Some("cat")).is_empty());
    }

    #[test]
    fn a_pager_that_ends_early_is_no_error() {
        let mut lines = 0;
        paged(&mut Vec::new(), &SCREEN, &["true".to_owned()], |out| {
            loop {
                out.write_all(&[b'\n'; 1024])?;
                lines += 1024;
                assert!(lines < 100_000_000, "written to nobody");
            }
        })
        .unwrap();
    }

    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_pipe_is_no_error_but_a_broken_connection_is() {
        paged(&mut Closed, &SCREEN, &[], |out| Ok(out.write_all(b"x")?)).unwrap();
        let failed = paged(&mut Vec::new(), &SCREEN, &[], |_| {
            bail!(io::Error::from(ErrorKind::BrokenPipe))
        });
        failed.unwrap_err();
    }
}
