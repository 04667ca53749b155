//! Capturing bodies in the gateway: bytes that pass are cloned up to a bound, and handed to the body writer at the end
//! of the answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use access::Retention;
use base::UnixTime;
use base::ids::{OrganizationId, ProjectId, RequestId};
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::Content;

/// The most bytes of a body that are kept.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;
/// The bytes of bodies in memory, of requests under way and of those that wait for the body writer.
const MEMORY_CAPACITY: usize = 64 * 1024 * 1024;
/// The capacity of the queue of requests that wait for the body writer.
const QUEUE_CAPACITY: usize = 1024;
/// The memory that a piece takes beside its bytes.
const PIECE_OVERHEAD_BYTES: usize = 64;

/// Captures bodies. Clones share one queue.
#[derive(Clone)]
pub struct Bodies {
    jobs: mpsc::Sender<Job>,
    memory: Arc<Semaphore>,
    lost: Arc<AtomicU64>,
}

/// The facts about a request that are known before its answer.
pub struct RequestInfo {
    /// The organization.
    pub organization: OrganizationId,
    /// The project.
    pub project: ProjectId,
    /// The id of the request, which its client knows.
    pub id: RequestId,
    /// The time of its admission.
    pub at: UnixTime,
    /// The path after `/v1`.
    pub endpoint: &'static str,
    /// The model.
    pub model: String,
}

/// The content that the bodies of an endpoint can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyContents {
    /// The content of requests.
    pub request: Content,
    /// The content of answers.
    pub answer: Content,
}

/// A request and its answer, on their way to the body writer.
pub(crate) struct Job {
    pub(crate) info: RequestInfo,
    pub(crate) status: Option<u16>,
    pub(crate) request: Option<CapturedBody>,
    pub(crate) answer: Option<CapturedBody>,
    /// The memory of the bodies, released when they are written.
    memory: OwnedSemaphorePermit,
}

/// A body, as far as it was captured.
pub(crate) struct CapturedBody {
    pub(crate) content: Content,
    pub(crate) pieces: Vec<Bytes>,
    pub(crate) kept: usize,
    /// The number of bytes of the body, including those that are not kept.
    pub(crate) length: usize,
}

/// A request under way whose bodies are captured. Drop hands over what was captured until then, if the request was
/// admitted.
pub struct Capture {
    /// `None` once the memory was exhausted.
    job: Option<Box<Job>>,
    is_admitted: bool,
    bodies: Bodies,
}

impl Bodies {
    /// Returns the capture of bodies, and the queue of captured ones.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Job>) {
        let (jobs, receiver) = mpsc::channel(QUEUE_CAPACITY);
        let bodies = Self {
            jobs,
            memory: Arc::new(Semaphore::new(MEMORY_CAPACITY)),
            lost: Arc::default(),
        };
        (bodies, receiver)
    }

    /// Starts a capture with the body of a request; `None` if retention forbids all content, or no memory is left.
    #[must_use]
    pub fn capture(
        &self,
        contents: BodyContents,
        retention: Retention,
        body: &Bytes,
        info: impl FnOnce() -> RequestInfo,
    ) -> Option<Capture> {
        let passed = |content: Content| {
            content
                .is_allowed(retention)
                .then(|| CapturedBody::of(content))
        };
        let (request, answer) = (passed(contents.request), passed(contents.answer));
        if request.is_none() && answer.is_none() {
            return None;
        }
        let Ok(memory) = Arc::clone(&self.memory).try_acquire_many_owned(0) else {
            return None;
        };
        let job = Job {
            info: info(),
            status: None,
            request,
            answer,
            memory,
        };
        let mut capture = Capture {
            job: Some(Box::new(job)),
            is_admitted: false,
            bodies: self.clone(),
        };
        capture.push(|job| job.request.as_mut(), body);
        Some(capture)
    }

    /// Returns the number of requests whose bodies were lost for want of memory or because the database failed.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Returns the number of requests whose bodies wait for the body writer.
    #[must_use]
    pub fn queue_depth(&self) -> usize {
        self.jobs.max_capacity() - self.jobs.capacity()
    }

    pub(crate) fn lose(&self, requests: usize) {
        let requests = u64::try_from(requests).unwrap_or(u64::MAX);
        self.lost.fetch_add(requests, Ordering::Relaxed);
    }
}

impl CapturedBody {
    fn of(content: Content) -> Self {
        Self {
            content,
            pieces: Vec::new(),
            kept: 0,
            length: 0,
        }
    }

    /// Returns the part of a piece that is kept.
    fn part(&mut self, piece: &Bytes) -> Bytes {
        self.length += piece.len();
        let part = piece.len().min(MAX_BODY_BYTES - self.kept);
        self.kept += part;
        if part == piece.len() {
            piece.clone()
        } else {
            // A slice would keep the whole piece in memory, which may be large.
            Bytes::copy_from_slice(&piece[..part])
        }
    }
}

impl Capture {
    /// Marks the request as admitted; bodies of other requests are not kept.
    #[must_use]
    pub fn admitted(mut self) -> Self {
        self.is_admitted = true;
        self
    }

    /// Sets the status of the answer.
    #[must_use]
    pub fn answered(mut self, status: u16) -> Self {
        if let Some(job) = &mut self.job {
            job.status = Some(status);
        }
        self
    }

    /// Ends the capture of a request that the gateway itself answers with an error, which is not kept.
    pub fn failed(self, status: u16) {
        let mut failed = self.answered(status);
        if let Some(job) = &mut failed.job {
            job.answer = None;
        }
    }

    /// Captures a piece of the answer.
    pub fn pass(&mut self, piece: &Bytes) {
        self.push(|job| job.answer.as_mut(), piece);
    }

    fn push(&mut self, side: impl Fn(&mut Job) -> Option<&mut CapturedBody>, piece: &Bytes) {
        let Some(job) = &mut self.job else { return };
        let Some(passed) = side(job) else { return };
        let part = passed.part(piece);
        if part.is_empty() {
            return;
        }
        let size = u32::try_from(part.len() + PIECE_OVERHEAD_BYTES).unwrap_or(u32::MAX);
        passed.pieces.push(part);
        let memory = Arc::clone(&self.bodies.memory).try_acquire_many_owned(size);
        match memory {
            Ok(memory) => job.memory.merge(memory),
            Err(_) => {
                self.job = None;
                self.bodies.lose(1);
            }
        }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let Some(mut job) = self.job.take().filter(|_| self.is_admitted) else {
            return;
        };
        if job.status.is_none() {
            job.answer = None;
        }
        if self.bodies.jobs.try_send(*job).is_err() {
            self.bodies.lose(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use base::ids::Id;

    use super::*;

    const TEXT: BodyContents = BodyContents {
        request: Content::Text,
        answer: Content::Text,
    };

    fn about() -> RequestInfo {
        RequestInfo {
            organization: OrganizationId::from_text("org-1".into()),
            project: ProjectId::from_text("proj_1".into()),
            id: RequestId::from_text("req_1".into()),
            at: UnixTime(1),
            endpoint: "/chat/completions",
            model: "m".into(),
        }
    }

    fn capture(bodies: &Bodies, body: &Bytes) -> Capture {
        let capture = bodies.capture(TEXT, Retention::NoControl, body, about);
        capture.expect("nothing forbids it").admitted()
    }

    #[test]
    fn a_refused_request_is_not_captured() {
        let (bodies, mut jobs) = Bodies::new();
        let body = Bytes::from_static(b"text");
        drop(bodies.capture(TEXT, Retention::NoControl, &body, about));
        assert!(jobs.try_recv().is_err());
        assert_eq!(
            (bodies.lost(), bodies.memory.available_permits()),
            (0, MEMORY_CAPACITY)
        );
        capture(&bodies, &body).failed(502);
        let job = jobs.try_recv().expect("handed over");
        assert_eq!((job.status, job.answer.is_some()), (Some(502), false));
    }

    #[test]
    fn pieces_are_cloned_up_to_the_bound() {
        let (bodies, mut jobs) = Bodies::new();
        let whole = Bytes::from(vec![b'a'; MAX_BODY_BYTES]);
        let mut open = capture(&bodies, &whole).answered(200);
        for _ in 0..3 {
            open.pass(&whole.slice(..MAX_BODY_BYTES - 10));
        }
        drop(open);
        let job = jobs.try_recv().expect("handed over");
        let request = job.request.expect("the request");
        assert_eq!(request.pieces[0].as_ptr(), whole.as_ptr(), "no copy");
        assert_eq!(
            (request.kept, request.length),
            (MAX_BODY_BYTES, MAX_BODY_BYTES)
        );
        let answer = job.answer.expect("the answer");
        assert_eq!(answer.kept, MAX_BODY_BYTES);
        assert_eq!(answer.length, 3 * (MAX_BODY_BYTES - 10));
        let lengths: Vec<_> = answer.pieces.iter().map(Bytes::len).collect();
        assert_eq!(lengths, [MAX_BODY_BYTES - 10, 10]);
    }

    #[test]
    fn bodies_beyond_the_memory_or_queue_are_lost_and_counted() {
        let (bodies, mut jobs) = Bodies::new();
        let body = Bytes::from(vec![b'a'; MAX_BODY_BYTES]);
        let held: Vec<_> = (0..MEMORY_CAPACITY / MAX_BODY_BYTES)
            .map(|_| capture(&bodies, &body))
            .collect();
        assert_eq!(bodies.lost(), 1, "each takes a little more than its bytes");
        drop(held);
        let mut handed_over = 0;
        while jobs.try_recv().is_ok() {
            handed_over += 1;
        }
        assert_eq!(handed_over, MEMORY_CAPACITY / MAX_BODY_BYTES - 1);
        assert_eq!(
            bodies.memory.available_permits(),
            MEMORY_CAPACITY,
            "all is given back"
        );
        for _ in 0..QUEUE_CAPACITY + 5 {
            drop(capture(&bodies, &Bytes::new()));
        }
        assert_eq!(bodies.lost(), 1 + 5);
    }

    #[test]
    fn content_that_retention_forbids_is_never_captured() {
        let (bodies, mut jobs) = Bodies::new();
        let speech = BodyContents {
            answer: Content::Media,
            ..TEXT
        };
        let never = || unreachable!("there is nothing to say");
        let body = Bytes::from_static(b"text");
        for (contents, retention) in [
            (TEXT, Retention::ZeroDataRetention),
            (TEXT, Retention::ModifiedAbuseMonitoring),
            (speech, Retention::EnhancedZeroDataRetention),
            (speech, Retention::EnhancedModifiedAbuseMonitoring),
        ] {
            let none = bodies.capture(contents, retention, &body, never);
            assert!(none.is_none(), "{retention:?}");
        }
        let sound = bodies.capture(speech, Retention::ZeroDataRetention, &body, about);
        let mut sound = sound.expect("sound").admitted().answered(200);
        sound.pass(&body);
        drop(sound);
        let job = jobs.try_recv().expect("handed over");
        assert!(job.request.is_none() && job.answer.is_some());
    }
}
