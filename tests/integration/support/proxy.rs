//! A TCP proxy in front of a server, which does what networks do: it cuts, stalls, swallows, delays, and tears packets.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::random::Random;

/// What becomes of a connection when the client sends a certain packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// The server gets it and acts, but the connection is cut when it answers.
    LoseAnswer,
    /// Only half of what the client sends arrives, then the connection is cut.
    HalfRequest,
    /// Only half of what the server answers arrives, then the connection is cut.
    HalfAnswer,
    /// From this packet on nothing passes, either way, and nobody is told: both sides see an open connection for ever.
    Swallow,
}

/// A running proxy; it ends, and all its connections with it, when dropped.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    trap: Mutex<Option<Trap>>,
    harmed: Mutex<u64>,
    weather: watch::Sender<Weather>,
}

/// Which packets are harmed, of those with this text in them.
struct Trap {
    marker: Vec<u8>,
    every: u64,
    /// So many packets to the next one.
    left: u64,
    random: Random,
    harm: Harm,
}

/// What holds for all connections.
#[derive(Clone, Copy)]
struct Weather {
    server_port: u16,
    stalled: bool,
    delay: Duration,
    /// Connections with a number below are cut, or swallowed.
    cut_below: u64,
    swallowed_below: u64,
    next_connection: u64,
}

impl Proxy {
    /// Listens in front of the server on this port of 127.0.0.1 and does no harm yet.
    pub async fn start(server_port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let weather = Weather {
            server_port,
            stalled: false,
            delay: Duration::ZERO,
            cut_below: 0,
            swallowed_below: 0,
            next_connection: 0,
        };
        let weather = watch::Sender::new(weather);
        let shared = Arc::new(Shared { trap: Mutex::default(), harmed: Mutex::default(), weather });
        let task = tokio::spawn(accept(listener, shared.clone()));
        Proxy { port, shared, task }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Harms one in `every` packets of clients that have `marker` in them; an empty marker is in all of them. Which
    /// ones is left to chance, or a client that tries again in the same way could meet harm at the same place for ever.
    pub fn harm_at(&self, marker: &str, every: u64, harm: Harm) {
        *self.shared.trap() =
            Some(Trap { marker: marker.into(), every, left: every, random: Random::new(every), harm });
    }

    /// Harms no further packet.
    pub fn spare(&self) {
        *self.shared.trap() = None;
    }

    /// How many packets were harmed or delayed.
    pub fn harmed(&self) -> u64 {
        *self.shared.harmed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds up everything, both ways, also what connects from now on.
    pub fn stall(&self) {
        self.shared.weather.send_modify(|weather| weather.stalled = true);
    }

    /// Lets everything through that was held up.
    pub fn go_on(&self) {
        self.shared.weather.send_modify(|weather| weather.stalled = false);
    }

    /// Holds up each packet for so long.
    pub fn delay(&self, delay: Duration) {
        self.shared.weather.send_modify(|weather| weather.delay = delay);
    }

    /// Cuts all connections there are.
    pub fn cut(&self) {
        self.shared.weather.send_modify(|weather| weather.cut_below = weather.next_connection);
    }

    /// Nothing passes any more on the connections there are, and nobody is told. New ones are well.
    pub fn swallow(&self) {
        self.shared.weather.send_modify(|weather| weather.swallowed_below = weather.next_connection);
    }

    /// Leads to another server from now on, and cuts all connections to the one before.
    pub fn lead_to(&self, server_port: u16) {
        self.shared.weather.send_modify(|weather| weather.server_port = server_port);
        self.cut();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn trap(&self) -> std::sync::MutexGuard<'_, Option<Trap>> {
        self.trap.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to happen to a packet of a client.
    fn harm(&self, packet: &[u8]) -> Option<Harm> {
        let mut trap = self.trap();
        let trap = trap.as_mut()?;
        let marker = trap.marker.as_slice();
        if !marker.is_empty() && !packet.windows(marker.len()).any(|window| window == marker) {
            return None;
        }
        trap.left -= 1;
        if trap.left > 0 {
            return None;
        }
        trap.left = 1 + trap.random.below(2 * trap.every - 1);
        self.count();
        Some(trap.harm)
    }

    fn count(&self) {
        *self.harmed.lock().unwrap_or_else(PoisonError::into_inner) += 1;
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let mut connection = Connection { shared: shared.clone(), number: 0, answer: None };
        shared.weather.send_modify(|weather| {
            connection.number = weather.next_connection;
            weather.next_connection += 1;
        });
        connections.spawn(connection.carry(client));
        while connections.try_join_next().is_some() {}
    }
}

/// One client's connection.
struct Connection {
    shared: Arc<Shared>,
    number: u64,
    /// What is to happen to the server's next answer.
    answer: Option<Harm>,
}

impl Connection {
    /// Carries bytes both ways until one side closes or harm is done, which is `None`. While nothing may pass, nothing is
    /// read either: what was sent waits in the kernel, and arrives later, also from a client that has closed meanwhile.
    async fn carry(mut self, mut client: TcpStream) -> Option<()> {
        let mut weather = self.shared.weather.subscribe();
        let server_port = weather.borrow().server_port;
        let mut server = TcpStream::connect(("127.0.0.1", server_port)).await.ok()?;
        // A packet that is on its way need not wait for the next one.
        for socket in [&client, &server] {
            socket.set_nodelay(true).expect("an option of every socket");
        }
        let (mut from_client, mut from_server) = (vec![0; 1 << 16], vec![0; 1 << 16]);
        loop {
            self.clear(&mut weather).await?;
            // What is read is passed on only if nothing has been said against it since: from the moment that `stall`
            // returns, nothing passes that is sent after it.
            tokio::select! {
                _ = weather.changed() => {}
                read = client.read(&mut from_client) => {
                    let length = read.ok().filter(|length| *length > 0)?;
                    let delay = self.clear(&mut weather).await?;
                    self.wait(delay).await;
                    self.pass_request(&from_client[..length], &mut server).await?;
                }
                read = server.read(&mut from_server) => {
                    let length = read.ok().filter(|length| *length > 0)?;
                    let delay = self.clear(&mut weather).await?;
                    self.wait(delay).await;
                    self.pass_answer(&from_server[..length], &mut client).await?;
                }
            }
        }
    }

    /// Waits until something may pass, and answers how late it is; `None` if the connection is cut.
    async fn clear(&self, weather: &mut watch::Receiver<Weather>) -> Option<Duration> {
        loop {
            let now = *weather.borrow_and_update();
            if self.number < now.cut_below {
                return None;
            }
            if self.number < now.swallowed_below {
                return std::future::pending().await;
            }
            if !now.stalled {
                return Some(now.delay);
            }
            weather.changed().await.ok()?;
        }
    }

    async fn wait(&self, delay: Duration) {
        if !delay.is_zero() {
            self.shared.count();
            tokio::time::sleep(delay).await;
        }
    }

    /// Passes what the client sent to the server; `None` is the end of the connection.
    async fn pass_request(&mut self, packet: &[u8], server: &mut TcpStream) -> Option<()> {
        let harm = self.shared.harm(packet);
        match harm {
            None => {}
            Some(Harm::LoseAnswer | Harm::HalfAnswer) => self.answer = harm,
            Some(Harm::HalfRequest) => {
                // The end of the connection follows either way.
                drop(server.write_all(&packet[..packet.len() / 2]).await);
                return None;
            }
            Some(Harm::Swallow) => std::future::pending().await,
        }
        server.write_all(packet).await.ok()
    }

    /// Passes what the server answered to the client; `None` is the end of the connection.
    async fn pass_answer(&mut self, packet: &[u8], client: &mut TcpStream) -> Option<()> {
        match self.answer {
            None => client.write_all(packet).await.ok(),
            Some(Harm::HalfAnswer) => {
                drop(client.write_all(&packet[..packet.len() / 2]).await);
                None
            }
            Some(_) => None,
        }
    }
}
