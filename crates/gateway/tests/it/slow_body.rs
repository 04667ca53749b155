//! A request whose body is sent by the test, piece by piece.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::world::{Answer, World, chat, read};

/// The sender of a body. Dropping it ends the body.
pub struct Sender(mpsc::Sender<Bytes>);

pub struct SlowBody {
    pieces: mpsc::Receiver<Bytes>,
    announced: Option<u64>,
}

/// Returns a body and its sender.
pub fn slow_body(announced: Option<u64>) -> (Sender, SlowBody) {
    let (sender, pieces) = mpsc::channel(1);
    (Sender(sender), SlowBody { pieces, announced })
}

impl Sender {
    /// Sends a piece, and waits until it has been read.
    pub async fn send(&self, piece: &str) {
        let piece = Bytes::copy_from_slice(piece.as_bytes());
        self.0.send(piece).await.expect("somebody reads");
        drop(self.0.reserve().await.expect("somebody reads"));
    }
}

impl http_body::Body for SlowBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = self.pieces.poll_recv(context);
        piece.map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn size_hint(&self) -> SizeHint {
        self.announced
            .map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}

/// Returns a request for a completion with this body.
pub fn slow_chat(key: &str, body: SlowBody) -> Request<SlowBody> {
    chat(key, "").map(|_| body)
}

/// A request in flight.
pub struct UnderWay(pub JoinHandle<Answer>);

impl UnderWay {
    pub fn start(world: &World, request: Request<SlowBody>) -> Self {
        let gateway = world.gateway.clone();
        let answer = async move {
            let response: Response<gateway::Body> = gateway.handle(request).await;
            read(response).await
        };
        Self(tokio::spawn(answer))
    }

    pub async fn answer(self) -> Answer {
        self.0.await.expect("an answer")
    }
}
