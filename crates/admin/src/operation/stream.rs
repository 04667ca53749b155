//! Answers that are sent while they are being made.

use std::pin::Pin;
use std::task::{Context, Poll};

use base::Result;
use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::sync::mpsc;

/// Takes the pieces of an answer, one at a time: the next one is only made when the last one is on its way.
pub(crate) struct Chunks(mpsc::Sender<Bytes>);

impl Chunks {
    /// Sends a piece.
    pub(crate) async fn send(&self, chunk: Vec<u8>) {
        // Without a receiver nothing is polled any more, this included.
        let _ = self.0.send(chunk.into()).await;
    }
}

/// A body that is made while it is sent. Nothing is done unless it is read, and nothing more when it is dropped; when the
/// making fails, it breaks off, so that no part of an answer looks like the whole.
pub(crate) struct Streamed {
    making: Option<Pin<Box<dyn Future<Output = Result<()>> + Send>>>,
    chunks: mpsc::Receiver<Bytes>,
}

impl Streamed {
    /// The body whose pieces `make` sends.
    pub(crate) fn new<F>(make: impl FnOnce(Chunks) -> F) -> Self
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let (sender, chunks) = mpsc::channel(1);
        Self {
            making: Some(Box::pin(make(Chunks(sender)))),
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
        if let Some(making) = &mut this.making
            && let Poll::Ready(made) = making.as_mut().poll(context)
        {
            this.making = None;
            if let Err(error) = made {
                tracing::warn!(%error, "an answer broke off");
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
    async fn pieces_arrive_in_order_and_only_on_demand() {
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
    async fn what_fails_breaks_off() {
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
