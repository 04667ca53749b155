//! One connection: its handshake, its requests, and its end.

use std::convert::Infallible;
use std::future::pending;
use std::pin::pin;

use axum::BoxError;
use axum::response::Response;
use base::Error;
use gateway::PeerCertificates;
use http::{HeaderValue, Request, header};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio_util::task::TaskTracker;
use tower::{ServiceExt, service_fn};

use crate::opening::Opening;
use crate::patience::Patience;
use crate::serve::{Answers, HEAD_BYTES, HEAD_TIME};
use crate::tls::{Accepted, Tls};

/// The phases of a server's life, as its connections see them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Requests are answered.
    Serving,
    /// Connections end with the requests that are under way.
    Stopping,
    /// Connections are dropped.
    Cut,
}

/// What a connection is served with.
pub(crate) struct Connection<A> {
    pub(crate) service: A,
    pub(crate) phase: watch::Receiver<Phase>,
    /// All tasks of connections and of their requests.
    pub(crate) tasks: TaskTracker,
    pub(crate) place: OwnedSemaphorePermit,
}

impl<A: Answers> Connection<A> {
    /// Shakes hands, which a stop does not wait for, then answers. A client that speaks plain HTTP is told to use HTTPS.
    pub(crate) async fn secure(
        mut self,
        stream: TcpStream,
        tls: &Tls,
        of_proxy: Option<PeerCertificates>,
    ) -> Result<(), BoxError> {
        let accepted = tokio::select! {
            biased;
            () = reaches(&mut self.phase, Phase::Stopping) => return Ok(()),
            accepted = tls.accept(stream) => accepted,
        };
        match accepted {
            Accepted::Secure(stream, certificates) => {
                self.serve(*stream, of_proxy.or(Some(certificates))).await
            }
            Accepted::Plain(stream) => {
                let service = service_fn(https_required);
                self.with(service).serve(stream, None).await
            }
            Accepted::Broken(error) => Err(error.into()),
        }
    }

    /// The same with another service.
    fn with<B: Answers>(self, service: B) -> Connection<B> {
        Connection {
            service,
            phase: self.phase,
            tasks: self.tasks,
            place: self.place,
        }
    }

    /// Answers its requests until it ends, or the server stops. Dropping the connection is how a stop cuts it off: what its
    /// requests consumed is settled then.
    pub(crate) async fn serve<S>(
        mut self,
        stream: S,
        certificates: Option<PeerCertificates>,
    ) -> Result<(), BoxError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let service = self.service.map_request(move |mut request: Request<_>| {
            if let Some(certificates) = &certificates {
                request.extensions_mut().insert(certificates.clone());
            }
            request
        });
        let _place = self.place;
        let mut builder = Builder::new(Streams(self.tasks));
        builder
            .http1()
            .timer(Patience::new(HEAD_TIME))
            .header_read_timeout(HEAD_TIME)
            .max_buf_size(HEAD_BYTES);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_header_list_size(HEAD_BYTES as u32)
            .max_concurrent_streams(256);
        let stream = TokioIo::new(Opening::new(stream, HEAD_TIME));
        let connection = builder.serve_connection(stream, TowerToHyperService::new(service));
        let mut connection = pin!(connection);
        tokio::select! {
            biased;
            ended = connection.as_mut() => return ended,
            () = reaches(&mut self.phase, Phase::Stopping) => {}
        }
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            biased;
            ended = connection => ended,
            () = reaches(&mut self.phase, Phase::Cut) => Ok(()),
        }
    }
}

/// Resolves once the server is in `phase` or beyond.
async fn reaches(now: &mut watch::Receiver<Phase>, phase: Phase) {
    if now.wait_for(|now| *now >= phase).await.is_err() {
        // The server is gone without a stop, and its runtime with it.
        pending::<()>().await;
    }
}

/// Runs the requests of HTTP/2, each in a task of its own that a stop waits for.
#[derive(Clone)]
struct Streams(TaskTracker);

impl<F> Executor<F> for Streams
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, stream: F) {
        self.0.spawn(stream);
    }
}

async fn https_required(_: Request<Incoming>) -> Result<Response, Infallible> {
    let message = "This server speaks HTTPS, and this request came over plain HTTP. Send it to an address with https://.";
    let mut response: Response = Error::refused("https_required", message).response();
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
    Ok(response)
}
