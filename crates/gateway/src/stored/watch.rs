//! Looks, beside all requests, at what has consumed something that nobody asked about. When to look at what is in the
//! table, so a restart forgets nothing, and nodes that share a database share the work.

use std::sync::Arc;
use std::time::Duration;

use access::stored::{Kind, Object};
use base::Result;
use base::time::HOUR;
use futures_util::{StreamExt, stream};
use tasks::Task;

use super::batches::AGAIN;
use crate::Shared;

/// How long between two rounds, unless something is due before.
const PAUSE: Duration = Duration::from_secs(60);
/// How many are taken from the table at a time, and how many are looked at at once.
const TAKEN: i64 = 64;
const AT_ONCE: usize = 4;

/// The watch over what upstreams keep.
pub(crate) struct Watch(pub(crate) Arc<Shared>);

/// Looks again and again, for ever.
impl Task for Watch {
    async fn run(&mut self) {
        loop {
            look_at_due(&self.0).await;
            // Whether a minute has passed or something is due is the same.
            let _ = tokio::time::timeout(PAUSE, self.0.due.notified()).await;
        }
    }
}

/// Looks at everything that is due now.
pub(crate) async fn look_at_due(shared: &Shared) {
    let now = shared.clock.now();
    loop {
        let due = match shared.stored.due(now, TAKEN).await {
            Ok(due) if due.is_empty() => break,
            Ok(due) => due,
            Err(error) => {
                tracing::warn!(%error, "what upstreams keep could not be looked at");
                return;
            }
        };
        let looks = stream::iter(due).map(|object| async move { shared.look(&object).await });
        let looks = looks.buffer_unordered(AT_ONCE);
        if !looks.all(|went_on| async move { went_on }).await {
            return;
        }
    }
    // Whatever is due has been looked at, so no reservation of something that was made is left without it.
    shared.release_expired().await;
}

impl Shared {
    /// Looks at one, unless another node does; whether that is written down, so that it is not due any more.
    async fn look(&self, object: &Object) -> bool {
        match self.stored.claim(object).await {
            Ok(true) => {}
            Ok(false) => return true,
            Err(error) => {
                tracing::warn!(id = object.id, %error, "due object not claimed");
                return false;
            }
        }
        self.bind_again(object).await;
        let Err(error) = self.look_now(object).await else {
            return true;
        };
        let (id, noun) = (&object.id, object.kind.noun());
        tracing::warn!(id, %error, "a {noun} could not be looked at, and will be again");
        let later = match object.kind {
            Kind::VectorStore => HOUR,
            Kind::Batch | Kind::File => AGAIN,
        };
        let later = self.clock.now().plus(later);
        self.stored.set_due(object, Some(later)).await.is_ok()
    }

    async fn look_now(&self, object: &Object) -> Result<()> {
        let answer = self.ask_about(object).await?;
        if answer.says_gone() && !self.stored.is_young(object) {
            tracing::warn!(
                id = object.id,
                "is gone; what it has consumed since is not known"
            );
            self.release(object).await?;
            return self.stored.set_due(object, None).await;
        }
        if !answer.is_success() {
            let status = answer.head.status;
            return Err(base::Error::upstream(format!(
                "It was answered with {status}."
            )));
        }
        match object.kind {
            Kind::File => self.stored.set_due(object, None).await,
            Kind::VectorStore => self.record_days(object, &answer.body).await,
            Kind::Batch => self.look_at_batch(object, &answer.body).await,
        }
    }
}
