//! A proxy in front of Postgres that counts round trips: how often the client waited for an answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// A free port of this machine, for a proxy in front of a database.
pub(crate) struct Door {
    pub(crate) listener: TcpListener,
    /// The database's own host and port.
    pub(crate) server: String,
    /// The database's URL through this port.
    pub(crate) url: String,
}

impl Door {
    /// Opens one in front of the database of this URL, `postgres://user@host:port/name`.
    pub(crate) async fn before(url: &str) -> Self {
        let (head, tail) = url.split_once('@').expect("the URL names a user");
        let (server, path) = tail.split_once('/').expect("the URL names a database");
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a loopback port is free");
        let own = listener.local_addr().expect("a listener has an address");
        Self {
            server: server.to_owned(),
            url: format!("{head}@{own}/{path}"),
            listener,
        }
    }
}

/// Counts the round trips of every connection that goes through it.
#[derive(Debug)]
pub struct CountingProxy {
    /// The URL for clients, instead of the server's.
    pub url: String,
    trips: Arc<AtomicUsize>,
}

impl CountingProxy {
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
        let trips = Arc::new(AtomicUsize::new(0));
        let proxy = Self {
            url,
            trips: Arc::clone(&trips),
        };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server)
                    .await
                    .expect("the server answers");
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                tokio::spawn(count(from_client, to_server, Arc::clone(&trips)));
                tokio::spawn(pass(from_server, to_client));
            }
        });
        proxy
    }

    /// The round trips since the last call.
    #[must_use]
    pub fn take(&self) -> usize {
        self.trips.swap(0, Ordering::SeqCst)
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    let _ = tokio::io::copy(&mut from, &mut to).await;
}

/// Passes the client's messages on and counts those after which the server answers: Query, and Sync at the end of a
/// statement. A bare Sync is not counted: sqlx's pool sends it to check a connection that was returned.
async fn count(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, trips: Arc<AtomicUsize>) {
    let mut buffer = Vec::new();
    let (mut started, mut in_statement) = (false, false);
    loop {
        let mut piece = [0; 16 * 1024];
        let Ok(length @ 1..) = from.read(&mut piece).await else {
            return;
        };
        buffer.extend_from_slice(&piece[..length]);
        // The first message has no type byte; every other one is a type byte and a length that counts itself.
        while let Some(message) = next_message(&buffer, started) {
            if started {
                let (is_query, is_sync) = (buffer[0] == b'Q', buffer[0] == b'S');
                if is_query || (is_sync && in_statement) {
                    trips.fetch_add(1, Ordering::SeqCst);
                }
                in_statement = !is_query && !is_sync;
            }
            // A client that offers TLS first sends its start-up message after the answer.
            started = started || buffer[4..8] != TLS_REQUEST;
            buffer.drain(..message);
        }
        if to.write_all(&piece[..length]).await.is_err() {
            return;
        }
    }
}

const TLS_REQUEST: [u8; 4] = 80_877_103_u32.to_be_bytes();

fn next_message(buffer: &[u8], started: bool) -> Option<usize> {
    let type_byte = usize::from(started);
    let length = buffer.get(type_byte..type_byte + 4)?;
    let length = u32::from_be_bytes(length.try_into().expect("four bytes"));
    let end = type_byte + usize::try_from(length).expect("a message is small");
    (buffer.len() >= end).then_some(end)
}
