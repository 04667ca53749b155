//! `/v1/files`: uploads.

use std::ops::Range;
use std::sync::Arc;

use access::stored::Kind;
use base::{Error, Result, without_mark};
use bytes::{Bytes, BytesMut};
use http::Response;
use proxy::Target;

use super::ask::Question;
use super::keep::Draft;
use super::lines::Work;
use super::owner;
use crate::aside::aside;
use crate::dialect::{Fields, form_type};
use crate::identify::Caller;
use crate::router::Context;
use crate::{Body, Shared};

/// What a file is for that holds the requests of a batch.
const BATCH: &str = "batch";

impl Shared {
    /// Passes an upload on. What is to be the input of a batch is looked at first, and
    /// passed on without the byte order mark that it may begin with: not every model server passes over one.
    pub(super) async fn upload(
        self: &Arc<Self>,
        caller: &Caller,
        keeper: Target,
        context: &Context,
        mut body: Bytes,
    ) -> Result<Response<Body>> {
        let fields = Fields::of_parts(&context.head.headers, &body, &["purpose", "file"])?;
        let purpose = fields.text("purpose")?.unwrap_or_default();
        if purpose.contains('\0') {
            let message = "purpose must not contain a NUL character.";
            return Err(Error::invalid("purpose", message));
        }
        let work = if purpose == BATCH {
            let missing = || {
                Error::invalid(
                    "file",
                    "file is missing: send one with the requests of the batch.",
                )
            };
            let place = fields.place(fields.get("file").ok_or_else(missing)?);
            let text = without_mark(&body[place.clone()]).len();
            let (mark, file) = (place.end - text, body.slice(place.end - text..place.end));
            body = without(&body, place.start..mark);
            // A large file takes a moment, which other requests do not have to wait for.
            Some(aside(move || Work::read(&file)).await??.to_text()?)
        } else {
            None
        };
        let draft = Draft {
            owner: owner(caller),
            kind: Kind::File,
            purpose,
            work,
            due_at: None,
            held: None,
            reservation: None,
        };
        let kind = form_type(&context.head.headers)?;
        let question = Question::of_client_with(context, body, Some(kind));
        self.make(draft, keeper, question).await
    }
}

/// Returns a body without the bytes at `place`; it is copied only if there are any.
fn without(body: &Bytes, place: Range<usize>) -> Bytes {
    if place.is_empty() {
        return body.clone();
    }
    let mut rest = BytesMut::with_capacity(body.len() - place.len());
    rest.extend_from_slice(&body[..place.start]);
    rest.extend_from_slice(&body[place.end..]);
    rest.freeze()
}
