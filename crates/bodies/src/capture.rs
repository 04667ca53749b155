//! The gateway's end: what passes, up to a bound, is cloned and handed to the keeper at the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use access::Retention;
use base::UnixTime;
use base::ids::{OrganizationId, ProjectId, RequestId};
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::Content;

/// How much of a body is kept, in bytes.
pub const MOST_BYTES: usize = 1024 * 1024;
/// How many bytes are in memory at once, of requests under way and of those that wait for the keeper.
const ROOM: usize = 64 * 1024 * 1024;
/// How many requests wait for the keeper.
const WAITING: usize = 1024;
/// What a piece takes in memory beside its bytes.
const PIECE: usize = 64;

/// Takes bodies in. Clones are the same.
#[derive(Clone)]
pub struct Bodies {
    jobs: mpsc::Sender<Job>,
    room: Arc<Semaphore>,
    lost: Arc<AtomicU64>,
}

/// What is known of a request before its answer.
pub struct About {
    /// Whose it is.
    pub organization: OrganizationId,
    /// Where it was made.
    pub project: ProjectId,
    /// Its id, which its client knows.
    pub id: RequestId,
    /// When it was admitted.
    pub at: UnixTime,
    /// What follows `/v1` in its path.
    pub endpoint: &'static str,
    /// The model that it is for.
    pub model: String,
}

/// What the bodies of an endpoint can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holds {
    /// Of its requests.
    pub request: Content,
    /// Of its answers.
    pub answer: Content,
}

/// A request and its answer, on their way to the keeper.
pub(crate) struct Job {
    pub(crate) about: About,
    pub(crate) status: Option<u16>,
    pub(crate) request: Option<Passed>,
    pub(crate) answer: Option<Passed>,
    /// Given back when they are written.
    room: OwnedSemaphorePermit,
}

/// A body as it passed.
pub(crate) struct Passed {
    pub(crate) content: Content,
    pub(crate) pieces: Vec<Bytes>,
    pub(crate) kept: usize,
    /// How many bytes it had, those included that are not kept.
    pub(crate) length: usize,
}

/// A request under way of which something is to be kept. Dropped, it is handed over with what was seen until then, if it
/// was admitted.
pub struct Capture {
    /// `None` once there was no room for it.
    job: Option<Box<Job>>,
    is_admitted: bool,
    bodies: Bodies,
}

impl Bodies {
    /// The place for bodies, and where they come out.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Job>) {
        let (jobs, receiver) = mpsc::channel(WAITING);
        let bodies = Self {
            jobs,
            room: Arc::new(Semaphore::new(ROOM)),
            lost: Arc::default(),
        };
        (bodies, receiver)
    }

    /// Begins with a request's body; nothing where nothing may be kept, or there is no room.
    #[must_use]
    pub fn capture(
        &self,
        holds: Holds,
        retention: Retention,
        body: &Bytes,
        about: impl FnOnce() -> About,
    ) -> Option<Capture> {
        let passed = |content: Content| content.is_allowed(retention).then(|| Passed::of(content));
        let (request, answer) = (passed(holds.request), passed(holds.answer));
        if request.is_none() && answer.is_none() {
            return None;
        }
        let Ok(room) = Arc::clone(&self.room).try_acquire_many_owned(0) else {
            return None;
        };
        let job = Job {
            about: about(),
            status: None,
            request,
            answer,
            room,
        };
        let mut capture = Capture {
            job: Some(Box::new(job)),
            is_admitted: false,
            bodies: self.clone(),
        };
        capture.push(|job| job.request.as_mut(), body);
        Some(capture)
    }

    /// How many requests' bodies were to be kept and were not, for want of room or because the database failed.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    pub(crate) fn lose(&self, requests: usize) {
        let requests = u64::try_from(requests).unwrap_or(u64::MAX);
        self.lost.fetch_add(requests, Ordering::Relaxed);
    }
}

impl Passed {
    fn of(content: Content) -> Self {
        Self {
            content,
            pieces: Vec::new(),
            kept: 0,
            length: 0,
        }
    }

    /// What of a piece is to be kept.
    fn part(&mut self, piece: &Bytes) -> Bytes {
        self.length += piece.len();
        let part = piece.len().min(MOST_BYTES - self.kept);
        self.kept += part;
        if part == piece.len() {
            piece.clone()
        } else {
            // A slice would hold the whole of what may be a very long body.
            Bytes::copy_from_slice(&piece[..part])
        }
    }
}

impl Capture {
    /// The request is admitted: from here on it is kept.
    #[must_use]
    pub fn admitted(mut self) -> Self {
        self.is_admitted = true;
        self
    }

    /// The answer has begun.
    #[must_use]
    pub fn answered(mut self, status: u16) -> Self {
        if let Some(job) = &mut self.job {
            job.status = Some(status);
        }
        self
    }

    /// There is no answer of a model server; the client gets this status.
    pub fn failed(self, status: u16) {
        let mut failed = self.answered(status);
        if let Some(job) = &mut failed.job {
            job.answer = None;
        }
    }

    /// A piece of the answer passes.
    pub fn pass(&mut self, piece: &Bytes) {
        self.push(|job| job.answer.as_mut(), piece);
    }

    fn push(&mut self, side: impl Fn(&mut Job) -> Option<&mut Passed>, piece: &Bytes) {
        let Some(job) = &mut self.job else { return };
        let Some(passed) = side(job) else { return };
        let part = passed.part(piece);
        if part.is_empty() {
            return;
        }
        let size = u32::try_from(part.len() + PIECE).unwrap_or(u32::MAX);
        passed.pieces.push(part);
        let room = Arc::clone(&self.bodies.room).try_acquire_many_owned(size);
        match room {
            Ok(room) => job.room.merge(room),
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

    const TEXT: Holds = Holds {
        request: Content::Text,
        answer: Content::Text,
    };

    fn about() -> About {
        About {
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
    fn what_is_refused_is_not_kept() {
        let (bodies, mut jobs) = Bodies::new();
        let body = Bytes::from_static(b"text");
        drop(bodies.capture(TEXT, Retention::NoControl, &body, about));
        assert!(jobs.try_recv().is_err());
        assert_eq!((bodies.lost(), bodies.room.available_permits()), (0, ROOM));
        capture(&bodies, &body).failed(502);
        let job = jobs.try_recv().expect("handed over");
        assert_eq!((job.status, job.answer.is_some()), (Some(502), false));
    }

    #[test]
    fn pieces_are_cloned_up_to_the_bound() {
        let (bodies, mut jobs) = Bodies::new();
        let whole = Bytes::from(vec![b'a'; MOST_BYTES]);
        let mut open = capture(&bodies, &whole).answered(200);
        for _ in 0..3 {
            open.pass(&whole.slice(..MOST_BYTES - 10));
        }
        drop(open);
        let job = jobs.try_recv().expect("handed over");
        let request = job.request.expect("the request");
        assert_eq!(request.pieces[0].as_ptr(), whole.as_ptr(), "no copy");
        assert_eq!((request.kept, request.length), (MOST_BYTES, MOST_BYTES));
        let answer = job.answer.expect("the answer");
        assert_eq!(answer.kept, MOST_BYTES);
        assert_eq!(answer.length, 3 * (MOST_BYTES - 10));
        let lengths: Vec<_> = answer.pieces.iter().map(Bytes::len).collect();
        assert_eq!(lengths, [MOST_BYTES - 10, 10]);
    }

    #[test]
    fn what_finds_no_room_is_not_kept_and_counted() {
        let (bodies, mut jobs) = Bodies::new();
        let body = Bytes::from(vec![b'a'; MOST_BYTES]);
        let held: Vec<_> = (0..ROOM / MOST_BYTES)
            .map(|_| capture(&bodies, &body))
            .collect();
        assert_eq!(bodies.lost(), 1, "each takes a little more than its bytes");
        drop(held);
        let mut handed_over = 0;
        while jobs.try_recv().is_ok() {
            handed_over += 1;
        }
        assert_eq!(handed_over, ROOM / MOST_BYTES - 1);
        assert_eq!(bodies.room.available_permits(), ROOM, "all is given back");
        for _ in 0..WAITING + 5 {
            drop(capture(&bodies, &Bytes::new()));
        }
        assert_eq!(bodies.lost(), 1 + 5);
    }

    #[test]
    fn what_may_not_be_kept_is_not_even_looked_at() {
        let (bodies, mut jobs) = Bodies::new();
        let speech = Holds {
            answer: Content::Media,
            ..TEXT
        };
        let never = || unreachable!("there is nothing to say");
        let body = Bytes::from_static(b"text");
        for (holds, retention) in [
            (TEXT, Retention::ZeroDataRetention),
            (TEXT, Retention::ModifiedAbuseMonitoring),
            (speech, Retention::EnhancedZeroDataRetention),
            (speech, Retention::EnhancedModifiedAbuseMonitoring),
        ] {
            let none = bodies.capture(holds, retention, &body, never);
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
