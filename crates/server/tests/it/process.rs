//! A child process: what it prints is collected, what it is asked to do is waited for, and it never outlives its test.

use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// The time after which a process that has not done what a test waits for has failed: long, since other tests run beside it.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(180);

/// A running process. Killed when dropped.
pub struct Process {
    child: Child,
    stdout: Pipe,
    stderr: Pipe,
}

/// Output and exit status of an ended process.
#[derive(Debug)]
pub struct Ended {
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Process {
    pub fn start(mut command: Command) -> Self {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let started = command.spawn();
        let mut child = started.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stdout = Pipe::collect(child.stdout.take().expect("stdout is piped"));
        let stderr = Pipe::collect(child.stderr.take().expect("stderr is piped"));
        Self {
            child,
            stdout,
            stderr,
        }
    }

    /// Waits for a line of stdout that begins with `start`, and gives back what follows.
    #[track_caller]
    pub fn wait_for_line(&mut self, start: &str) -> String {
        self.wait("that line of stdout", RESPONSE_TIMEOUT, |process| {
            process.line(start)
        })
    }

    /// Waits until a server serves, or has ended; true if it serves.
    #[track_caller]
    pub fn serves_or_ends(&mut self) -> bool {
        poll::value_blocking("the server serves or has ended", || {
            if self.status().is_some() {
                return Some(false);
            }
            self.line("Listening on ").map(|_| true)
        })
    }

    /// Returns the rest of the first complete line of stdout that begins with `start`.
    pub fn line(&self, start: &str) -> Option<String> {
        let text = self.stdout();
        let (whole, _) = text.rsplit_once('\n')?;
        whole
            .lines()
            .find_map(|line| line.strip_prefix(start))
            .map(str::to_owned)
    }

    /// Waits until `done` gives something.
    #[track_caller]
    fn wait<T>(
        &mut self,
        what: &str,
        patience: Duration,
        mut done: impl FnMut(&mut Self) -> Option<T>,
    ) -> T {
        let found = poll::try_value_blocking(patience, || {
            // Looked at first: what an ended process has printed is whole.
            let ended = self.status();
            let found = done(self);
            assert!(
                found.is_some() || ended.is_none(),
                "waited for {what}, but the process ended with {ended:?}\n{}",
                self.printed()
            );
            found
        });
        found.unwrap_or_else(|| panic!("waited too long for {what}\n{}", self.printed()))
    }

    fn printed(&self) -> String {
        format!("stdout:\n{}\nstderr:\n{}", self.stdout(), self.stderr())
    }

    fn status(&mut self) -> Option<ExitStatus> {
        let status = self.child.try_wait().expect("a child that is ours");
        if status.is_some() {
            self.stdout.finish();
            self.stderr.finish();
        }
        status
    }

    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// The memory that it occupies, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).expect("a process that runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
        let kibibytes: u64 = kibibytes.and_then(|it| it.parse().ok()).expect("a number");
        kibibytes * 1024
    }

    /// Ends it at once, as `kill -9` does: it learns nothing of it.
    pub fn kill(mut self) {
        self.child.kill().expect("a child that is ours");
        self.child.wait().expect("a child that is ours");
    }

    /// Waits until it has logged something with these words.
    #[track_caller]
    pub fn wait_for_log(&self, words: &str) {
        poll::until_blocking(words, || self.stderr().contains(words));
    }

    /// Asks it to stop, as a service manager does.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends the signal of this name.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("sh")
            .args(["-c", &format!("kill -{name} \"$0\""), &id])
            .status();
        assert!(
            sent.is_ok_and(|status| status.success()),
            "no signal was sent"
        );
    }

    /// Waits until it has ended by itself.
    #[track_caller]
    pub fn ended(self) -> Ended {
        self.ended_within(RESPONSE_TIMEOUT)
    }

    /// Waits as [`Process::ended`] does, for a process that may take longer.
    #[track_caller]
    pub fn ended_within(mut self, patience: Duration) -> Ended {
        let status = self.wait("its end", patience, Self::status);
        Ended {
            code: status.code(),
            stdout: self.stdout(),
            stderr: self.stderr(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended already cannot be killed, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Output stream that a thread reads, so that the process never blocks on it.
struct Pipe {
    text: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Pipe {
    fn collect(mut from: impl Read + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&text);
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = from.read(&mut buffer) {
                let mut text = into.lock().unwrap_or_else(PoisonError::into_inner);
                text.extend_from_slice(&buffer[..length]);
            }
        });
        Self {
            text,
            reader: Some(reader),
        }
    }

    /// Waits for the last bytes of a process that has ended.
    fn finish(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("the reader of an output");
        }
    }

    fn text(&self) -> String {
        let text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&text).into_owned()
    }
}
