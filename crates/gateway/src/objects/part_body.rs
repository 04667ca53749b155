//! The body of a request that adds a part to an upload, checked while it passes to the upstream.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use base::{Coding, Error, Result};
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use proxy::RequestBroken;
use tokio::time::{Instant, Sleep, sleep};

use crate::dialect::FileFormScanner;
use crate::request_body::{BODY_TIMEOUT, MAX_PART_BYTES, PIECE_TIMEOUT, RequestBody};

/// The field of a form that has a part.
const PART_FIELD: &str = "data";

/// The body. Each piece is passed on when the next one has come, so that the last piece passes only if the form is complete and
/// good; else the body breaks off, and the request to the upstream with it.
pub(crate) struct PartBody {
    /// `None` at the end.
    body: Option<UnsyncBoxBody<Bytes, ()>>,
    form: FileFormScanner,
    /// The last piece that has come.
    held: Option<Bytes>,
    /// Timer of the piece that is waited for.
    timer: Option<(Instant, Pin<Box<Sleep>>)>,
    /// Time for which the client was waited for.
    waited: Duration,
    refusal: Refusal,
}

/// The reason for which a body has broken off, which the client gets.
#[derive(Clone, Default)]
pub(super) struct Refusal(Arc<Mutex<Option<Error>>>);

impl Refusal {
    /// Takes the reason; `None` if the body has not broken off.
    pub(super) fn take(&self) -> Option<Error> {
        let mut error = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        error.take()
    }
}

impl PartBody {
    /// Returns the checked body of a request with these headers.
    ///
    /// # Errors
    /// 400: the body is not a form. 415: the body is encoded.
    pub(crate) fn new(headers: &HeaderMap, body: impl RequestBody) -> Result<Self> {
        if let Some(coding) = Coding::of(headers)? {
            return Err(Error::unsupported_coding(coding.as_str()));
        }
        let form = FileFormScanner::new(headers, PART_FIELD, MAX_PART_BYTES)?;
        if body.size_hint().exact() == Some(0) {
            // It would never be polled.
            form.end()?;
        }
        Ok(Self {
            body: Some(body.map_err(|_| ()).boxed_unsync()),
            form,
            held: None,
            timer: None,
            waited: Duration::ZERO,
            refusal: Refusal::default(),
        })
    }

    /// Returns the slot for the reason for which the body breaks off.
    pub(super) fn refusal(&self) -> Refusal {
        self.refusal.clone()
    }

    /// Breaks the body off.
    fn refuse(&mut self, error: Error) -> RequestBroken {
        (self.body, self.held) = (None, None);
        let mut refusal = self
            .refusal
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *refusal = Some(error);
        RequestBroken
    }

    /// Returns the next piece that has come; an error if it takes too long.
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        loop {
            let frame = match Pin::new(&mut *body).poll_frame(context) {
                Poll::Ready(frame) => frame,
                Poll::Pending => {
                    let left = BODY_TIMEOUT.saturating_sub(self.waited).min(PIECE_TIMEOUT);
                    let timer = || (Instant::now(), Box::pin(sleep(left)));
                    let (_, timer) = self.timer.get_or_insert_with(timer);
                    ready!(timer.as_mut().poll(context));
                    return Poll::Ready(Some(Err(Error::too_slow())));
                }
            };
            if let Some((since, _)) = self.timer.take() {
                self.waited += since.elapsed();
            }
            let message = "The request body broke off before its end.";
            return Poll::Ready(match frame {
                None => None,
                Some(Err(())) => Some(Err(Error::refused("incomplete_body", message))),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(piece) if !piece.is_empty() => Some(Ok(piece)),
                    _ => continue,
                },
            });
        }
    }
}

impl Body for PartBody {
    type Data = Bytes;
    type Error = RequestBroken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBroken>>> {
        while self.body.is_some() {
            let checked = match ready!(self.poll_piece(context)) {
                None => {
                    self.body = None;
                    self.form.end()
                }
                Some(Err(error)) => Err(error),
                Some(Ok(piece)) => {
                    let scanned = self.form.push(&piece);
                    match (scanned, self.held.replace(piece)) {
                        (Ok(()), Some(piece)) => return Poll::Ready(Some(Ok(Frame::data(piece)))),
                        (scanned, _) => scanned,
                    }
                }
            };
            if let Err(error) = checked {
                return Poll::Ready(Some(Err(self.refuse(error))));
            }
        }
        Poll::Ready(self.held.take().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_none() && self.held.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let held = self.held.as_ref().map_or(0, Bytes::len) as u64;
        let rest = self.body.as_ref().map(Body::size_hint);
        let rest = rest.unwrap_or_else(|| SizeHint::with_exact(0));
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(held));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(held));
        }
        hint
    }
}
