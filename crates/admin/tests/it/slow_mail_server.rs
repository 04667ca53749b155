//! A mail server that takes its time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use admin::mail::Smtp;
use poll::ScenarioDelay;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Delay of the mail server for each email: every node polls several times meanwhile.
const SERVER_DELAY: Duration = Duration::from_secs(3);

/// A slow mail server that counts emails.
pub struct SlowMailServer {
    address: SocketAddr,
    received: Arc<AtomicUsize>,
}

impl SlowMailServer {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let received = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&received);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, Arc::clone(&counted)));
            }
        });
        Self { address, received }
    }

    pub fn smtp(&self) -> Smtp {
        let url = format!("smtp://{}", self.address);
        Smtp::new(&url, "Plane <plane@acme.example>").expect("a mail server")
    }

    /// Returns the number of received emails.
    pub fn received(&self) -> usize {
        self.received.load(Ordering::SeqCst)
    }
}

async fn converse(stream: TcpStream, received: Arc<AtomicUsize>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 slow\r\n").await?;
    let (mut line, mut is_text) = (String::new(), false);
    while stream.read_line(&mut line).await? > 0 {
        let answer = match line.trim_end() {
            "." => {
                is_text = false;
                received.fetch_add(1, Ordering::SeqCst);
                ScenarioDelay(SERVER_DELAY).elapse().await;
                "250 taken\r\n"
            }
            _ if is_text => "",
            "DATA" => {
                is_text = true;
                "354 go on\r\n"
            }
            "QUIT" => "221 bye\r\n",
            _ => "250 well\r\n",
        };
        stream.write_all(answer.as_bytes()).await?;
        line.clear();
    }
    Ok(())
}
