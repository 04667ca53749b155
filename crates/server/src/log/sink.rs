//! Bounded queue of log lines and the thread that writes them.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::time::Duration;

use base::LogSampler;
use tracing_subscriber::fmt::MakeWriter;

/// Maximum number of queued lines, and their maximum size in bytes.
const QUEUE_CAPACITY: usize = 8_192;
const QUEUE_BYTES: usize = 16 * 1024 * 1024;
/// Maximum wait for queued lines at the end of the process.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// Number of lines of this process that were dropped.
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Returns the number of lines that were logged but not written.
pub(crate) fn dropped_lines() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// Sender of log lines. Never blocks, never fails. Clones share the queue.
#[derive(Clone)]
pub(super) struct Sink {
    queue: SyncSender<Message>,
    bytes: Arc<AtomicUsize>,
}

/// Message to the writer thread.
enum Message {
    Line(Vec<u8>),
    /// Answered after all earlier lines are written or dropped.
    Flush(SyncSender<()>),
}

impl Sink {
    /// Starts a thread that writes to `into`.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(super) fn start(into: impl Write + Send + 'static) -> io::Result<Self> {
        let (queue, lines) = mpsc::sync_channel(QUEUE_CAPACITY);
        let bytes = Arc::<AtomicUsize>::default();
        let writer = LineWriter {
            into,
            bytes: Arc::clone(&bytes),
            is_torn: false,
            dropped: 0,
            sampler: LogSampler::start(),
        };
        let thread = std::thread::Builder::new().name("log".to_owned());
        thread.spawn(move || writer.run(&lines))?;
        Ok(Self { queue, bytes })
    }

    /// Waits until all earlier lines are written or dropped, at most `FLUSH_TIMEOUT`.
    pub(super) fn flush(&self) {
        let (done, flushed) = mpsc::sync_channel(1);
        // A full queue means that the writer is blocked: waiting would be pointless.
        if self.queue.try_send(Message::Flush(done)).is_ok() {
            let _ = flushed.recv_timeout(FLUSH_TIMEOUT);
        }
    }

    fn send(&self, line: &[u8]) {
        let length = line.len();
        let waiting = self.bytes.fetch_add(length, Ordering::Relaxed);
        let has_room = waiting + length <= QUEUE_BYTES;
        if !has_room || self.queue.try_send(Message::Line(line.to_vec())).is_err() {
            self.bytes.fetch_sub(length, Ordering::Relaxed);
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// `tracing` writes each line with one call.
impl Write for Sink {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.send(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Sink {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Writer thread: receiver of the queue.
struct LineWriter<W> {
    into: W,
    bytes: Arc<AtomicUsize>,
    /// True if the last line was written partially, so that the next one must start a new line.
    is_torn: bool,
    /// Number of dropped lines that the log has already reported, and the sampler of these reports.
    dropped: u64,
    sampler: LogSampler,
}

impl<W: Write> LineWriter<W> {
    fn run(mut self, lines: &Receiver<Message>) {
        while let Ok(message) = lines.recv() {
            match message {
                Message::Line(line) => {
                    let is_written = self.write(&line);
                    self.bytes.fetch_sub(line.len(), Ordering::Relaxed);
                    if is_written {
                        self.log_dropped();
                    } else {
                        DROPPED.fetch_add(1, Ordering::Relaxed);
                    }
                }
                // The receiver is gone if the flush timed out.
                Message::Flush(done) => drop(done.send(())),
            }
        }
    }

    /// Writes a line. Returns false on failure.
    fn write(&mut self, line: &[u8]) -> bool {
        if self.is_torn && self.put(b"\n").is_err() {
            return false;
        }
        self.put(line).is_ok()
    }

    fn put(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.into.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    self.is_torn = bytes[written - 1] != b'\n';
                    bytes = &bytes[written..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Logs the number of lines dropped since the last report.
    fn log_dropped(&mut self) {
        let dropped = dropped_lines();
        let lines = dropped - self.dropped;
        if lines > 0 && self.sampler.admit().is_some() {
            self.dropped = dropped;
            tracing::warn!(lines, "log lines dropped: stderr closed, full or slow");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};

    use super::*;

    /// Disk with limited free space.
    #[derive(Clone, Default)]
    struct Disk(Arc<Mutex<DiskState>>);

    #[derive(Default)]
    struct DiskState {
        written: Vec<u8>,
        room: usize,
    }

    impl Disk {
        fn make_room(&self, bytes: usize) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).room = bytes;
        }

        fn text(&self) -> String {
            let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            String::from_utf8_lossy(&state.written).into_owned()
        }
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let length = bytes.len().min(state.room);
            if length == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            state.room -= length;
            state.written.extend_from_slice(&bytes[..length]);
            Ok(length)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn log_sink_gone_lines_for_a_full_disk_are_dropped_and_the_next_ones_are_whole() {
        let disk = Disk::default();
        let mut sink = Sink::start(disk.clone()).expect("a thread");
        disk.make_room(9);
        let before = dropped_lines();
        for line in ["first\n", "second\n", "third\n"] {
            sink.write_all(line.as_bytes()).expect("it never fails");
        }
        Sink::flush(&sink);
        assert!(dropped_lines() >= before + 2);
        disk.make_room(100);
        sink.write_all(b"fourth\n").expect("it never fails");
        Sink::flush(&sink);
        assert_eq!(disk.text(), "first\nsec\nfourth\n");
    }

    /// Pipe without a reader, until the receiver is closed.
    struct Pipe(Receiver<()>, SyncSender<usize>);

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // Open once nobody holds the other end any more.
            let _ = self.0.recv();
            let _ = self.1.send(bytes.len());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn log_sink_gone_nobody_waits_for_a_pipe_that_nobody_reads() {
        let (reader, opened) = mpsc::sync_channel(0);
        let (written, lines) = mpsc::sync_channel(4 * QUEUE_CAPACITY);
        let mut sink = Sink::start(Pipe(opened, written)).expect("a thread");
        let before = dropped_lines();
        let mut line = [b'x'; 1024];
        line[1023] = b'\n';
        for _ in 0..3 * QUEUE_CAPACITY {
            sink.write_all(&line).expect("it never fails");
        }
        // Beside the queue, the writer has one line in its hands. Other tests of this process drop lines as well.
        let most = QUEUE_CAPACITY + 2;
        let dropped = usize::try_from(dropped_lines() - before).expect("few");
        assert!(dropped >= 3 * QUEUE_CAPACITY - most, "{dropped}");
        drop(reader);
        let timeout = Duration::from_secs(60);
        assert!((0..QUEUE_CAPACITY).all(|_| lines.recv_timeout(timeout).is_ok()));
        Sink::flush(&sink);
        assert!(QUEUE_CAPACITY + lines.try_iter().count() <= most);
    }

    #[test]
    fn log_sink_gone_what_waits_has_a_bound_in_bytes() {
        let (reader, opened) = mpsc::sync_channel(0);
        let (written, lines) = mpsc::sync_channel(QUEUE_CAPACITY);
        let mut sink = Sink::start(Pipe(opened, written)).expect("a thread");
        let mut line = vec![b'x'; QUEUE_BYTES / 4];
        line.push(b'\n');
        for _ in 0..10 {
            sink.write_all(&line).expect("it never fails");
        }
        drop(reader);
        Sink::flush(&sink);
        assert_eq!(lines.try_iter().count(), 3);
    }
}
