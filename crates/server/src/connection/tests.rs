//! Connections over HTTP/2 on a paused clock: which are closed, and when.

use axum::body::{Body, Bytes};
use h2::client::SendRequest;
use tokio::io::DuplexStream;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::*;
use crate::activity::IDLE_TIMEOUT;
use crate::write_timeout::WRITE_TIMEOUT;

/// A time longer than anything here is waited for.
const LONG_TIMEOUT: Duration = Duration::from_secs(3_600);
/// The first bytes of a client over HTTP/2: the preface, and empty settings.
const OPENING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// A connection that is served, and its client's end.
struct Served {
    client: DuplexStream,
    ended: JoinHandle<Result<(), BoxError>>,
    activity: Arc<Activity>,
    _phase: watch::Sender<Phase>,
}

fn serve<F>(answer: impl Fn() -> F + Clone + Send + 'static) -> Served
where
    F: Future<Output = Response> + Send + 'static,
{
    let (client, server) = tokio::io::duplex(64 * 1024);
    let (sender, phase) = watch::channel(Phase::Serving);
    let service = service_fn(move |_: Request<Incoming>| {
        let answer = answer();
        Box::pin(async move { Ok(answer.await) }) as Pin<Box<dyn Future<Output = _> + Send>>
    });
    let activity = Activity::begin();
    let places = Arc::new(Semaphore::new(1));
    let connection = Connection {
        service,
        phase,
        tasks: TaskTracker::new(),
        activity: Arc::clone(&activity),
        peer: Peer {
            address: IpAddr::from([192, 0, 2, 1]),
            proxies: TrustedProxies::default(),
            certificates: None,
        },
        permits: ConnectionPermits {
            of_server: places.try_acquire_owned().expect("a place"),
            of_address: None,
        },
    };
    Served {
        client,
        ended: tokio::spawn(connection.serve(server)),
        activity,
        _phase: sender,
    }
}

async fn greeting() -> Response {
    Response::new(Body::from("hello"))
}

/// Asks for something; comes back with the answer once its head is there.
async fn ask(requests: &mut SendRequest<Bytes>) -> http::Response<h2::RecvStream> {
    let request = Request::get("http://x/").body(()).expect("a request");
    let (answer, _) = requests.send_request(request, true).expect("sent");
    answer.await.expect("an answer")
}

/// Reads a body to its end, with this pause for each 16 KiB.
async fn read(mut body: h2::RecvStream, pause: Duration) -> Result<usize, h2::Error> {
    let mut length = 0;
    while let Some(piece) = body.data().await {
        let piece = piece?;
        length += piece.len();
        tokio::time::advance(pause.mul_f64(piece.len() as f64 / 16_384.0)).await;
        body.flow_control().release_capacity(piece.len())?;
    }
    Ok(length)
}

#[tokio::test(start_paused = true)]
async fn s14_a_connection_over_http2_that_never_asks_is_closed() {
    let served = serve(greeting);
    let began = Instant::now();
    let (requests, connection) = h2::client::handshake(served.client).await.expect("HTTP/2");
    connection.await.expect("closed with a word");
    served.ended.await.expect("no panic").ok();
    assert!(began.elapsed() >= FIRST_REQUEST_TIMEOUT);
    assert!(
        began.elapsed() < FIRST_REQUEST_TIMEOUT + CLOSE_TIMEOUT,
        "{:?}",
        began.elapsed()
    );
    drop(requests);
}

#[tokio::test(start_paused = true)]
async fn s14_a_connection_over_http2_is_closed_when_it_has_been_idle() {
    let served = serve(greeting);
    let (mut requests, connection) = h2::client::handshake(served.client).await.expect("HTTP/2");
    let closed = tokio::spawn(connection);
    // Each request begins the time anew.
    for _ in 0..3 {
        sleep(FIRST_REQUEST_TIMEOUT - Duration::from_secs(5)).await;
        let answer = ask(&mut requests).await;
        assert_eq!(read(answer.into_body(), Duration::ZERO).await.ok(), Some(5));
    }
    let began = Instant::now();
    closed.await.expect("no panic").expect("closed with a word");
    served.ended.await.expect("no panic").ok();
    assert!(
        began.elapsed() >= IDLE_TIMEOUT - Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
    assert!(
        began.elapsed() < IDLE_TIMEOUT + CLOSE_TIMEOUT,
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn s14_a_client_that_says_nothing_more_is_closed_all_the_same() {
    use tokio::io::AsyncWriteExt;

    let mut served = serve(greeting);
    let began = Instant::now();
    served.client.write_all(OPENING).await.expect("taken");
    timeout(LONG_TIMEOUT, served.ended)
        .await
        .expect("closed")
        .expect("no panic")
        .ok();
    let limit = FIRST_REQUEST_TIMEOUT + PING_INTERVAL + PING_TIMEOUT + CLOSE_TIMEOUT;
    assert!(began.elapsed() <= limit, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn s14_a_request_under_way_keeps_its_connection_as_long_as_the_client_answers_pings() {
    let served = serve(|| async {
        sleep(LONG_TIMEOUT).await;
        greeting().await
    });
    let (mut requests, connection) = h2::client::handshake(served.client).await.expect("HTTP/2");
    let mut connection = Box::pin(connection);
    {
        let asked = ask(&mut requests);
        tokio::pin!(asked);
        let answer = tokio::select! {
            answer = &mut asked => answer,
            _ = &mut connection => panic!("closed while a request was under way"),
        };
        assert_eq!(answer.status(), 200);
    }
    // From now on nobody answers for the client.
    let request = Request::get("http://x/").body(()).expect("a request");
    let _answer = requests.send_request(request, true).expect("sent");
    timeout(Duration::from_secs(1), &mut connection)
        .await
        .expect_err("it goes on");
    assert!(served.activity.idle().is_none(), "the request is under way");
    let began = Instant::now();
    served
        .ended
        .await
        .expect("no panic")
        .expect_err("a broken connection");
    assert!(
        began.elapsed() <= PING_INTERVAL + PING_TIMEOUT,
        "{:?}",
        began.elapsed()
    );
}

/// A body of one piece that says when it is dropped.
struct ReportingBody(
    Option<Bytes>,
    #[expect(dead_code, reason = "told when dropped")] oneshot::Sender<()>,
);

impl axum::body::HttpBody for ReportingBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(http_body::Frame::data(bytes))))
    }
}

/// An application that answers with a large body, and what tells that it is gone.
fn large() -> (
    impl Fn() -> Ready<Response> + Clone + Send + 'static,
    oneshot::Receiver<()>,
) {
    let (sender, dropped) = oneshot::channel();
    let sender = Arc::new(std::sync::Mutex::new(Some(sender)));
    let answer = move || {
        let sender = sender.lock().expect("no panic").take().expect("asked once");
        let body = ReportingBody(Some(Bytes::from(vec![0; 1024 * 1024])), sender);
        ready(Response::new(Body::new(body)))
    };
    (answer, dropped)
}

#[tokio::test(start_paused = true)]
async fn s12_an_answer_that_is_not_read_is_dropped_though_the_connection_lives() {
    for window in [0, 1, 65_535] {
        let (answer, dropped) = large();
        let served = serve(answer);
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(window);
        let handshake = builder.handshake::<_, Bytes>(served.client);
        let (mut requests, connection) = handshake.await.expect("HTTP/2");
        let living = tokio::spawn(connection);
        let answer = ask(&mut requests).await;
        let began = Instant::now();
        timeout(LONG_TIMEOUT, dropped)
            .await
            .expect("dropped")
            .expect_err("by its drop");
        let passed = began.elapsed();
        assert!(passed >= WRITE_TIMEOUT, "{window}: {passed:?}");
        assert!(
            passed < WRITE_TIMEOUT + Duration::from_secs(2),
            "{window}: {passed:?}"
        );
        assert!(!living.is_finished(), "{window}: the connection lives on");
        // The stream was reset: it does not count as under way for ever.
        let error = read(answer.into_body(), Duration::ZERO).await;
        assert!(error.is_err(), "{window}: {error:?}");
        assert!(served.activity.idle().is_some(), "{window}");
    }
}

#[tokio::test(start_paused = true)]
async fn s12_a_slow_client_gets_all_of_its_answer() {
    let (answer, _dropped) = large();
    let served = serve(answer);
    let (mut requests, connection) = h2::client::handshake(served.client).await.expect("HTTP/2");
    tokio::spawn(connection);
    let began = Instant::now();
    let answer = ask(&mut requests).await;
    let length = read(answer.into_body(), WRITE_TIMEOUT / 6).await;
    let passed = began.elapsed();
    let length = length.map_err(|error| format!("after {passed:?}: {error}"));
    assert_eq!(length, Ok(1024 * 1024));
    assert!(began.elapsed() > WRITE_TIMEOUT * 4, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn s12_an_answer_that_comes_slowly_is_not_the_clients_fault() {
    let served = serve(|| async {
        let pieces = futures_util::stream::unfold(0, |number| async move {
            if number == 3 {
                return None;
            }
            sleep(WRITE_TIMEOUT * 2).await;
            Some((
                Ok::<_, Infallible>(Bytes::from_static(b"piece")),
                number + 1,
            ))
        });
        sleep(WRITE_TIMEOUT * 2).await;
        Response::new(Body::from_stream(pieces))
    });
    let (mut requests, connection) = h2::client::handshake(served.client).await.expect("HTTP/2");
    tokio::spawn(connection);
    let answer = ask(&mut requests).await;
    assert_eq!(
        read(answer.into_body(), Duration::ZERO).await.ok(),
        Some(15)
    );
}
