//! Answers that are sent while they are produced.

use std::pin::Pin;
use std::task::{Context, Poll};

use base::Result;
use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::sync::mpsc;

/// The sender of an answer's chunks. A chunk is accepted once the previous one was taken.
pub(crate) struct Chunks(mpsc::Sender<Bytes>);

impl Chunks {
    /// Sends a chunk.
    pub(crate) async fn send(&self, chunk: Vec<u8>) {
        // Without a receiver the producer is not polled any more either.
        let _ = self.0.send(chunk.into()).await;
    }
}

/// A body that is produced while it is sent. The producer runs only while the body is read. If the producer fails, so does
/// the body, so that a part is not taken for the whole answer.
pub(crate) struct Streamed {
    producer: Option<Pin<Box<dyn Future<Output = Result<()>> + Send>>>,
    chunks: mpsc::Receiver<Bytes>,
}

impl Streamed {
    /// Returns a body whose chunks `produce` sends.
    pub(crate) fn new<F>(produce: impl FnOnce(Chunks) -> F) -> Self
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let (sender, chunks) = mpsc::channel(1);
        Self {
            producer: Some(Box::pin(produce(Chunks(sender)))),
            chunks,
        }
    }
}

impl Body for Streamed {
    type Data = Bytes;
    type Error = base::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        if let Some(producer) = &mut this.producer
            && let Poll::Ready(outcome) = producer.as_mut().poll(context)
        {
            this.producer = None;
            if let Err(error) = outcome {
                tracing::warn!(%error, "answer aborted");
                return Poll::Ready(Some(Err(error)));
            }
        }
        let chunk = this.chunks.poll_recv(context);
        chunk.map(|chunk| chunk.map(|chunk| Ok(Frame::data(chunk))))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use base::Error;
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn chunks_arrive_in_order_and_on_demand() {
        let made = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&made);
        let mut body = Streamed::new(async move |chunks| {
            for number in 0..100_u8 {
                counter.fetch_add(1, Ordering::Relaxed);
                chunks.send(vec![number]).await;
            }
            Ok(())
        });
        let first = body.frame().await.expect("a frame").expect("data");
        assert_eq!(first.into_data().ok().as_deref(), Some(&[0][..]));
        assert!(made.load(Ordering::Relaxed) <= 3, "the rest waits");
        let rest = body.collect().await.expect("the rest").to_bytes();
        assert_eq!(rest, (1..100).collect::<Vec<u8>>());
    }

    #[tokio::test]
    async fn failure_of_the_producer_fails_the_body() {
        let mut body = Streamed::new(async |chunks| {
            chunks.send(b"[1,".to_vec()).await;
            Err(Error::internal())
        });
        let mut was_broken = false;
        while let Some(frame) = body.frame().await {
            was_broken |= frame.is_err();
        }
        assert!(was_broken);
    }
}
