//! A TCP proxy in front of a database that cuts a connection after the server has committed and before the client
//! hears of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// How the statement looks on the wire, in PostgreSQL's simple query and in MySQL's `COM_QUERY`.
const COMMIT: &[u8] = b"COMMIT";

/// A running proxy; it ends when dropped.
pub struct CommitCutter {
    port: u16,
    cuts: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl CommitCutter {
    /// Listens in front of `server_port` and cuts at every `nth` commit.
    pub async fn start(server_port: u16, nth: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (commits, cuts) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let counted = cuts.clone();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (commits, cuts) = (commits.clone(), counted.clone());
                tokio::spawn(async move {
                    let Ok(server) = TcpStream::connect(("127.0.0.1", server_port)).await else { return };
                    carry(client, server, nth, &commits, &cuts).await;
                });
            }
        });
        CommitCutter { port, cuts, task }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Answers to a commit that were swallowed.
    pub fn cuts(&self) -> u64 {
        self.cuts.load(Ordering::SeqCst)
    }
}

impl Drop for CommitCutter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Carries bytes both ways until one side closes, or a commit is to be cut: then both are closed once the server has
/// answered it.
async fn carry(mut client: TcpStream, mut server: TcpStream, nth: u64, commits: &AtomicU64, cuts: &AtomicU64) {
    let (mut from_client, mut from_server) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut cutting = false;
    loop {
        tokio::select! {
            read = client.read(&mut from_client) => {
                let Ok(length @ 1..) = read else { return };
                let sent = &from_client[..length];
                if sent.windows(COMMIT.len()).any(|window| window == COMMIT) {
                    cutting = (commits.fetch_add(1, Ordering::SeqCst) + 1).is_multiple_of(nth);
                }
                if server.write_all(sent).await.is_err() { return }
            }
            read = server.read(&mut from_server) => {
                let Ok(length @ 1..) = read else { return };
                if cutting {
                    cuts.fetch_add(1, Ordering::SeqCst);
                    return;
                }
                if client.write_all(&from_server[..length]).await.is_err() { return }
            }
        }
    }
}
