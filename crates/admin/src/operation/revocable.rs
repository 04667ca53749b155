//! Revocation of answers that are being sent.

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

/// The time within which the directory learns of a key that another node has created.
const DIRECTORY_TIMEOUT: Duration = Duration::from_secs(1);

/// A permit that is checked against the directory with every chunk of an answer.
pub(super) struct Revocable {
    services: Arc<Services>,
    key: KeyHashes,
    is_session: bool,
    /// The required permission, if the owner has it in the organization; `None` if a project's role gives it.
    needs: Option<Permission>,
    began: Stopwatch,
    is_known: bool,
}

impl Revocable {
    /// Returns a revocable permit; `None` without a caller.
    pub(super) fn new(services: &Arc<Services>, permit: &Permit) -> Option<Self> {
        let caller: &Caller = permit.caller()?;
        Some(Self {
            services: Arc::clone(services),
            key: caller.hashes(),
            is_session: caller.is_session(),
            needs: permit
                .permission()
                .filter(|needs| caller.permissions.contains(*needs)),
            began: Stopwatch::start(),
            is_known: false,
        })
    }

    /// True if the key is valid and its owner has the permission.
    fn is_valid(&mut self) -> bool {
        let directory = &self.services.directory;
        let found = if self.is_session {
            directory.find_session(&self.key)
        } else {
            directory.find_by(&self.key)
        };
        let Some(key) = found else {
            return !self.is_known && self.began.elapsed() < DIRECTORY_TIMEOUT;
        };
        self.is_known = true;
        let now = self.services.clock.now();
        let needs = self.needs;
        key.alive(now).is_ok() && needs.is_none_or(|needs| key.permissions.contains(needs))
    }

    /// Wraps a body so that it fails when the key is revoked.
    pub(super) fn guard(self, body: Body) -> Guarded {
        Guarded {
            revocable: self,
            body,
        }
    }
}

/// A body that fails when its caller's key is revoked, so that a part is not taken for the whole answer.
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
        if !this.revocable.is_valid() {
            tracing::info!("answer aborted: key revoked");
            let error =
                Error::unauthenticated("The API key was revoked, or the session has ended.");
            return Poll::Ready(Some(Err(error.into())));
        }
        let frame = Pin::new(&mut this.body).poll_frame(context);
        frame.map(|frame| frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}
