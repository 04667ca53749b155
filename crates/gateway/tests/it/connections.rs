//! Connections to upstreams: reused, replaced when they are closed, and broken off without harm.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gateway::{Durability, UpstreamConfig};
use http::Version;
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Barrier, Semaphore};

use crate::upstream::{COMPLETION, Reply, Step, Upstream};
use crate::world::{World, chat, config, read};

const MODEL: &str = r#"{"model":"real"}"#;

/// Starts an upstream that runs `serve` for each connection, which are numbered from 0. Returns its base URL and the number
/// of connections so far.
async fn raw<F>(
    serve: impl Fn(usize, TcpStream) -> F + Send + 'static,
) -> (String, Arc<AtomicUsize>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let count = Arc::new(AtomicUsize::new(0));
    let connections = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            let number = connections.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(serve(number, connection));
        }
    });
    (format!("http://{address}/v1"), count)
}

/// Reads one request, whose body is all of [`MODEL`].
async fn request(connection: &mut TcpStream) {
    let mut bytes = Vec::new();
    while !bytes.ends_with(MODEL.as_bytes()) {
        assert_ne!(connection.read_buf(&mut bytes).await.expect("bytes"), 0);
    }
}

async fn answer(connection: &mut TcpStream) {
    let length = COMPLETION.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    let whole = head + COMPLETION;
    connection
        .write_all(whole.as_bytes())
        .await
        .expect("written");
}

async fn world(url: String) -> World {
    World::with(Reply::events(), Durability::Batched, |_| {
        vec![config("raw", url)]
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_are_reused() {
    let world = World::start(Reply::whole(200, COMPLETION)).await;
    for _ in 0..20 {
        assert_eq!(world.chat(MODEL).await.status, 200);
    }
    assert!(world.upstream.connections() <= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_that_was_closed_while_idle_is_replaced() {
    let (url, connections) = raw(|_, mut connection| async move {
        request(&mut connection).await;
        answer(&mut connection).await;
    })
    .await;
    let world = world(url).await;
    for _ in 0..10 {
        assert_eq!(world.chat(MODEL).await.status, 200);
    }
    assert_eq!(connections.load(Ordering::SeqCst), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn request_is_answered_however_many_idle_connections_were_closed() {
    const CONNECTION_COUNT: usize = 12;
    let together = Arc::new(Barrier::new(CONNECTION_COUNT));
    let (url, connections) = raw(move |number, mut connection| {
        let together = Arc::clone(&together);
        async move {
            request(&mut connection).await;
            if number < CONNECTION_COUNT {
                together.wait().await;
            }
            answer(&mut connection).await;
        }
    })
    .await;
    let world = Arc::new(world(url).await);
    let clients = (0..CONNECTION_COUNT).map(|_| {
        let world = Arc::clone(&world);
        tokio::spawn(async move { world.chat(MODEL).await.status })
    });
    for client in clients.collect::<Vec<_>>() {
        assert_eq!(client.await.expect("an answer"), 200);
    }
    assert_eq!(world.chat(MODEL).await.status, 200);
    assert_eq!(connections.load(Ordering::SeqCst), CONNECTION_COUNT + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn answer_that_comes_before_the_whole_request_was_read_is_passed_on() {
    let (url, _) = raw(|_, mut connection| async move {
        let mut bytes = [0; 1000];
        connection.read_exact(&mut bytes).await.expect("bytes");
        answer(&mut connection).await;
        // Neither reads on nor closes the connection.
        std::future::pending::<()>().await;
    })
    .await;
    let world = world(url).await;
    let long = format!(r#"{{"model":"real","x":"{}"}}"#, "x".repeat(16 << 20));
    let clients = world.chat(&long).await;
    assert_eq!(
        (clients.status.as_u16(), clients.body.as_str()),
        (200, COMPLETION)
    );
    let row = world.rows(1).await.remove(0);
    assert_eq!(row.sums(), ("succeeded", false, Some(11), Some(7), Some(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn request_is_sent_again_if_its_reused_connection_was_closed_as_it_went_out() {
    for is_reset in [false, true] {
        let (url, connections) = raw(move |_, mut connection| async move {
            request(&mut connection).await;
            answer(&mut connection).await;
            request(&mut connection).await;
            if is_reset {
                connection.set_zero_linger().expect("an option");
            }
        })
        .await;
        let world = world(url).await;
        for _ in 0..5 {
            assert_eq!(world.chat(MODEL).await.status, 200, "reset: {is_reset}");
        }
        assert_eq!(connections.load(Ordering::SeqCst), 5);
        assert_eq!(world.rows(5).await.len(), 5);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn new_connection_that_is_closed_without_an_answer_is_502() {
    for is_reset in [false, true] {
        let (url, connections) = raw(move |_, mut connection| async move {
            request(&mut connection).await;
            if is_reset {
                connection.set_zero_linger().expect("an option");
            }
        })
        .await;
        let answer = world(url).await.chat(MODEL).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.error()[3]),
            (502, &"upstream_error".into())
        );
        assert_eq!(connections.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answer_that_breaks_off_breaks_off_for_the_client_too() {
    for is_reset in [false, true] {
        let gate = Arc::new(Semaphore::new(0));
        let shut = Arc::clone(&gate);
        let (url, _) = raw(move |_, mut connection| {
            let gate = Arc::clone(&shut);
            async move {
                request(&mut connection).await;
                let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 999\r\n\r\n{\"id\":";
                connection.write_all(head.as_bytes()).await.expect("written");
                gate.acquire().await.expect("a gate").forget();
                if is_reset {
                    connection.set_zero_linger().expect("an option");
                }
            }
        })
        .await;
        let world = world(url).await;
        let mut response = world.gateway.handle(chat(world.service(), MODEL)).await;
        assert_eq!(response.status(), 200);
        let frame = response.body_mut().frame().await.expect("a frame");
        let piece = frame.expect("a piece").into_data().expect("data");
        assert_eq!(piece, "{\"id\":");
        gate.add_permits(1);
        let rest = read(response).await;
        assert!(rest.is_broken, "reset: {is_reset}");
        assert_eq!(rest.body, "");
        let row = world.rows(1).await.remove(0);
        assert_eq!(
            (row.outcome.as_str(), row.estimated),
            ("upstream_failed", false)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answer_that_is_not_http_is_502() {
    let (url, _) = raw(|_, mut connection| async move {
        request(&mut connection).await;
        let _ = connection.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").await;
    })
    .await;
    assert_eq!(world(url).await.chat(MODEL).await.status, 502);
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_with_prior_knowledge_shares_one_connection() {
    let world = World::with(Reply::whole(200, COMPLETION), Durability::Batched, |url| {
        vec![UpstreamConfig {
            http2: true,
            ..config("local", url)
        }]
    })
    .await;
    let world = Arc::new(world);
    assert_eq!(world.chat(MODEL).await.status, 200);
    let clients = (0..30).map(|_| {
        let world = Arc::clone(&world);
        tokio::spawn(async move { world.chat(MODEL).await.status })
    });
    for client in clients.collect::<Vec<_>>() {
        assert_eq!(client.await.expect("an answer"), 200);
    }
    let asked = world.upstream.asked();
    assert_eq!(asked.len(), 31);
    assert!(asked.iter().all(|asked| asked.version == Version::HTTP_2));
    assert_eq!(world.upstream.connections(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn request_whose_http2_stream_was_reset_is_not_sent_again() {
    let world = World::with(Reply::whole(200, COMPLETION), Durability::Batched, |url| {
        vec![UpstreamConfig {
            http2: true,
            ..config("local", url)
        }]
    })
    .await;
    assert_eq!(world.chat(MODEL).await.status, 200);
    let dies = Reply::whole(200, COMPLETION).after(Step::Die);
    world.upstream.replies(dies);
    assert_eq!(world.chat(MODEL).await.status, 502);
    assert_eq!(world.upstream.asked().len(), 2);
}

#[tokio::test]
async fn reused_connection_that_is_closed_late_is_502() {
    let (url, connections) = raw(|_, mut connection| async move {
        request(&mut connection).await;
        answer(&mut connection).await;
        request(&mut connection).await;
        poll::advance(Duration::from_millis(1_200)).await;
    })
    .await;
    let world = world(url).await;
    assert_eq!(world.chat(MODEL).await.status, 200);
    assert_eq!(world.chat(MODEL).await.status, 502);
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_http2_connection_is_replaced() {
    let first = Upstream::start(Reply::whole(200, COMPLETION)).await;
    let (address, url) = (first.address, first.base_url());
    let world = World::with(Reply::events(), Durability::Batched, |_| {
        vec![UpstreamConfig {
            http2: true,
            ..config("restarts", url)
        }]
    })
    .await;
    assert_eq!(world.chat(MODEL).await.status, 200);
    first.stop().await;
    let second = Upstream::at(address, Reply::whole(200, COMPLETION), None).await;
    assert_eq!(world.chat(MODEL).await.status, 200);
    assert_eq!(second.asked().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn statuses_that_are_neither_success_nor_error_are_502() {
    for head in [
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        "HTTP/1.1 399 Odd\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 600 Odd\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 999 Request denied\r\ncontent-length: 0\r\n\r\n",
    ] {
        let (url, _) = raw(move |_, mut connection| async move {
            request(&mut connection).await;
            let written = connection.write_all(head.as_bytes()).await;
            written.expect("written");
        })
        .await;
        let answer = world(url).await.chat(MODEL).await;
        assert_eq!(answer.status, 502, "{head}: {answer:?}");
        assert_eq!(answer.error()[3], "upstream_error", "{head}");
        assert!(!answer.headers.contains_key("upgrade"), "{head}");
    }
    let (url, _) = raw(|_, mut connection| async move {
        request(&mut connection).await;
        let early = b"HTTP/1.1 103 Early Hints\r\nlink: <https://inside.example>\r\n\r\n";
        connection.write_all(early).await.expect("written");
        answer(&mut connection).await;
    })
    .await;
    let answer = world(url).await.chat(MODEL).await;
    assert_eq!((answer.status.as_u16(), &*answer.body), (200, COMPLETION));
}
