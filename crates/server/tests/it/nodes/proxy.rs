//! A way to a database that can stop passing bytes while its connections stay open.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Passes bytes between clients and a server until the runtime ends.
pub struct Proxy {
    pub address: SocketAddr,
    hung: Arc<watch::Sender<u64>>,
}

impl Proxy {
    pub async fn start(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let hung = Arc::new(watch::Sender::new(0));
        let state = Arc::clone(&hung);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else {
                    continue;
                };
                let (client_reads, client_writes) = client.into_split();
                let (server_reads, server_writes) = server.into_split();
                tokio::spawn(pass(client_reads, server_writes, state.subscribe()));
                tokio::spawn(pass(server_reads, client_writes, state.subscribe()));
            }
        });
        Self { address, hung }
    }

    /// Passes no byte on any more, on the connections that are open. New ones work.
    pub fn hang(&self) {
        self.hung.send_modify(|count| *count += 1);
    }
}

/// Copies until the way hangs; then reads, as a kernel at the other end acknowledges, and passes nothing on.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut hung: watch::Receiver<u64>) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let length = tokio::select! {
            biased;
            _ = hung.changed() => break,
            read = from.read(&mut buffer) => read.unwrap_or(0),
        };
        if length == 0 {
            return;
        }
        // While this waits, bytes are on their way.
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
    while from.read(&mut buffer).await.is_ok_and(|length| length > 0) {}
    drop(to);
}
