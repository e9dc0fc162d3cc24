//! A proxy in front of a server that disturbs the network: slow, cut, or **half-open**, where a connection stays open and passes
//! nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;

use crate::proxy::Door;

/// The state of the network.
#[derive(Debug, Clone, Copy)]
struct Weather {
    to_server: Duration,
    to_client: Duration,
    /// Connections with a lower number never pass anything again.
    stranded_below: usize,
    /// Connections with a lower number are closed.
    cut_below: usize,
}

/// A proxy in this process.
#[derive(Debug)]
pub struct FaultProxy {
    /// The URL for clients, instead of the server's.
    pub url: String,
    weather: watch::Sender<Weather>,
    connections: Arc<AtomicUsize>,
}

impl FaultProxy {
    /// Starts a proxy in front of the database of this URL, `postgres://user@host:port/name`.
    ///
    /// # Panics
    ///
    /// When the URL has no host and port.
    pub async fn before(url: &str) -> Self {
        let Door {
            listener,
            server,
            url,
        } = Door::before(url).await;
        let weather = watch::Sender::new(Weather {
            to_server: Duration::ZERO,
            to_client: Duration::ZERO,
            stranded_below: 0,
            cut_below: 0,
        });
        let connections = Arc::new(AtomicUsize::new(0));
        let proxy = Self {
            url,
            weather: weather.clone(),
            connections: Arc::clone(&connections),
        };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let number = connections.fetch_add(1, Ordering::SeqCst);
                // If the server is down, the client's connection is closed.
                let Ok(server) = TcpStream::connect(&server).await else {
                    continue;
                };
                let (client, server) = (client.into_split(), server.into_split());
                let watch = || weather.subscribe();
                let pass = pass((number, watch()), client, server);
                let mut cut = watch();
                tokio::spawn(async move {
                    tokio::select! {
                        () = pass => {},
                        _ = cut.wait_for(|weather| number < weather.cut_below) => {},
                    }
                });
            }
        });
        proxy
    }

    /// Delays each direction by this time from now on.
    pub fn slow(&self, to_server: Duration, to_client: Duration) {
        self.weather.send_modify(|weather| {
            weather.to_server = to_server;
            weather.to_client = to_client;
        });
    }

    /// Cuts every open connection. New ones pass.
    pub fn cut(&self) {
        let connections = self.connections();
        self.weather
            .send_modify(|weather| weather.cut_below = connections);
    }

    /// Keeps every open connection, but passes nothing more, as if the other end had vanished silently. New ones pass.
    pub fn strand(&self) {
        let connections = self.connections();
        self.weather
            .send_modify(|weather| weather.stranded_below = connections);
    }

    /// How many connections were opened.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

type Halves = (OwnedReadHalf, OwnedWriteHalf);

/// Passes data in both directions until either ends.
async fn pass(connection: (usize, watch::Receiver<Weather>), client: Halves, server: Halves) {
    let (from_client, to_client) = client;
    let (from_server, to_server) = server;
    tokio::select! {
        () = one_way(connection.clone(), from_client, to_server, |weather| weather.to_server) => {},
        () = one_way(connection, from_server, to_client, |weather| weather.to_client) => {},
    }
}

async fn one_way(
    (number, mut weather): (usize, watch::Receiver<Weather>),
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    latency: fn(&Weather) -> Duration,
) {
    let mut piece = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut piece).await;
        let is_stranded = |weather: &Weather| number < weather.stranded_below;
        let now = *weather.borrow_and_update();
        if is_stranded(&now) {
            return std::future::pending().await;
        }
        let Ok(length @ 1..) = read else { return };
        tokio::time::sleep(latency(&now)).await;
        if is_stranded(&weather.borrow_and_update()) {
            return std::future::pending().await;
        }
        if to.write_all(&piece[..length]).await.is_err() {
            return;
        }
    }
}
