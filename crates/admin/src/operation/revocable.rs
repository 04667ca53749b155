//! Answers that end when their caller's key is revoked while they are being sent.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use access::KeyHashes;
use axum::body::Body;
use base::time::Stopwatch;
use base::{Error, Permission};
use bytes::Bytes;
use http_body::Frame;

use super::{Caller, Permit};
use crate::Services;

/// The time within which the directory knows a key that another node has made.
const DIRECTORY_TIMEOUT: Duration = Duration::from_secs(1);

/// A permit that is looked at again with every piece of an answer, in memory.
pub(super) struct Revocable {
    services: Arc<Services>,
    key: KeyHashes,
    /// The permission that the owner has in the whole organization; `None` where only a project's role gives it.
    needs: Option<Permission>,
    began: Stopwatch,
    is_known: bool,
}

impl Revocable {
    /// The permit of a caller; `None` without one.
    pub(super) fn new(services: &Arc<Services>, permit: &Permit) -> Option<Self> {
        let caller: &Caller = permit.caller()?;
        Some(Self {
            services: Arc::clone(services),
            key: caller.hashes(),
            needs: permit
                .permission()
                .filter(|needs| caller.permissions.contains(*needs)),
            began: Stopwatch::start(),
            is_known: false,
        })
    }

    /// True if the key can still be used for what was permitted.
    fn is_good(&mut self) -> bool {
        let Some(key) = self.services.directory.find_by(&self.key) else {
            return !self.is_known && self.began.elapsed() < DIRECTORY_TIMEOUT;
        };
        self.is_known = true;
        let now = self.services.clock.now();
        let needs = self.needs;
        key.alive(now).is_ok() && needs.is_none_or(|needs| key.permissions.contains(needs))
    }

    /// Ends `body` where the key is revoked.
    pub(super) fn guard(self, body: Body) -> Guarded {
        Guarded {
            revocable: self,
            body,
        }
    }
}

/// A body that breaks off when its caller's key is revoked: no part of an answer looks like the whole.
pub(super) struct Guarded {
    revocable: Revocable,
    body: Body,
}

impl http_body::Body for Guarded {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        if !this.revocable.is_good() {
            tracing::info!("answer broken off: its key was revoked");
            let error = Error::unauthenticated("The API key was revoked.");
            return Poll::Ready(Some(Err(error.into())));
        }
        let frame = Pin::new(&mut this.body).poll_frame(context);
        frame.map(|frame| frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}
