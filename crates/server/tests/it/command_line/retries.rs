//! Answers that pass are waited out.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::response::IntoResponse;

use crate::installation::Installation;
use crate::process::Process;

/// Serves `refusals` refusals, then an object; gives back its address and how often it was asked.
async fn busy(refusals: usize) -> (SocketAddr, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let answer = move || async move {
        if count.fetch_add(1, Ordering::SeqCst) < refusals {
            let body = "{\"error\":{\"message\":\"Busy.\",\"code\":\"busy\"}}";
            return (
                http::StatusCode::TOO_MANY_REQUESTS,
                [("retry-after-ms", "1")],
                body,
            )
                .into_response();
        }
        "{\"id\":\"proj_1\"}".into_response()
    };
    let listening = orgplane::Server::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await;
    let listening = listening.expect("a free port");
    let address = listening.address();
    let router = Router::new().fallback(answer);
    tokio::spawn(async move {
        listening
            .run(router, &orgplane::Shutdown::within(Duration::ZERO))
            .await
    });
    (address, asked)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_server_is_asked_three_times() {
    let installation = Installation::new("");
    for (refusals, code, requests) in [(0, 0, 1), (2, 0, 3), (9, 1, 3)] {
        let (address, asked) = busy(refusals).await;
        let words = [
            "admin:organization:projects",
            "retrieve",
            "proj_1",
            "--format",
            "raw",
        ];
        let mut command = installation.command(&words);
        command.env("OPENAI_BASE_URL", format!("http://{address}"));
        let ended = Process::start(command).ended();
        assert_eq!(
            (ended.code, asked.load(Ordering::SeqCst)),
            (Some(code), requests),
            "{ended:?}"
        );
        if code == 0 {
            assert_eq!(ended.stdout, "{\"id\":\"proj_1\"}\n");
        } else {
            assert!(
                ended.stderr.contains("429 Too Many Requests\nBusy.\n"),
                "{ended:?}"
            );
        }
    }
}
