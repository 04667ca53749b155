//! `/v1/vector_stores`: making one.

use std::sync::Arc;

use access::stored::Kind;
use base::Result;
use base::time::HOUR;
use bytes::Bytes;
use http::Response;
use proxy::Target;

use super::ask::Question;
use super::keep::Draft;
use super::{owner, references};
use crate::identify::Caller;
use crate::router::Context;
use crate::{Body, Shared};

impl Shared {
    /// Makes a vector store, where the files are that it begins with.
    pub(super) async fn create_vector_store(
        self: &Arc<Self>,
        caller: &Caller,
        keeper: Target,
        context: &Context,
        body: Bytes,
    ) -> Result<Response<Body>> {
        let owner = owner(caller);
        let place = self.check_references(&owner, &body, None).await?;
        let route = match place {
            None => keeper,
            Some(name) => self.upstreams.by_name(&name).unwrap_or(keeper),
        };
        let reservation = self
            .reserve_storage(caller, references::count(&body)?)
            .await?;
        let draft = Draft {
            owner,
            kind: Kind::VectorStore,
            purpose: String::new(),
            work: None,
            // By then the files that it begins with are in it.
            due_at: Some(self.clock.now().plus(HOUR)),
            held: None,
            reservation,
        };
        self.make(draft, route, Question::of_client(context, body))
            .await
    }
}
