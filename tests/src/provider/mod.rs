//! A stand-in for Resend on loopback: it follows a script, and keeps a **ledger** of all requests.
//!
//! It speaks `POST /emails` and `POST /emails/batch` with an `Idempotency-Key`, which it supports or ignores as configured.
//! It knows nothing of campanile.

mod behaviour;
mod ledger;
mod server;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;

pub use self::behaviour::{Ask, Behaviour};
pub use self::ledger::{Answered, Entry, Ledger, Mail};

/// How the provider treats a key that it has seen before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "matched by tests")]
pub enum Keys {
    /// The same key with the same body gets the first answer and counts once; with another body it is refused.
    Honoured,
    /// Keys are ignored: every request is accepted.
    Ignored,
}

/// How the provider decides what to do with a request.
type Script = Box<dyn FnMut(&Ask) -> Behaviour + Send>;

struct State {
    keys: Keys,
    script: Mutex<Script>,
    ledger: Mutex<Ledger>,
    /// How many entries the ledger has.
    entries: watch::Sender<usize>,
    /// How often held requests were released.
    releases: watch::Sender<usize>,
}

/// A provider that runs in this process.
#[derive(Clone)]
pub struct Provider {
    /// Its URL, for `Resend::at`.
    pub url: String,
    state: Arc<State>,
}

impl Provider {
    /// Starts a provider that accepts everything.
    ///
    /// # Panics
    ///
    /// When no loopback port is free.
    pub async fn start(keys: Keys) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a loopback port is free");
        let address = listener.local_addr().expect("a listener has an address");
        let state = Arc::new(State {
            keys,
            script: Mutex::new(Box::new(|_| Behaviour::Accept)),
            ledger: Mutex::default(),
            entries: watch::Sender::new(0),
            releases: watch::Sender::new(0),
        });
        tokio::spawn(server::serve(listener, Arc::clone(&state)));
        Self {
            url: format!("http://{address}"),
            state,
        }
    }

    /// Whether it supports keys.
    #[must_use]
    pub fn keys(&self) -> Keys {
        self.state.keys
    }

    /// Always behaves like this from now on.
    pub fn always(&self, behaviour: Behaviour) {
        self.follows(move |_| behaviour);
    }

    /// Follows a script from now on, which is called for each request.
    pub fn follows(&self, script: impl FnMut(&Ask) -> Behaviour + Send + 'static) {
        *lock(&self.state.script) = Box::new(script);
    }

    /// Releases every request that is held now.
    pub fn release(&self) {
        self.state.releases.send_modify(|times| *times += 1);
    }

    /// All requests so far.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        lock(&self.state.ledger).clone()
    }

    /// Waits until the ledger meets a condition.
    ///
    /// # Panics
    ///
    /// When it does not within a minute.
    pub async fn until(&self, condition: impl Fn(&Ledger) -> bool) {
        let mut entries = self.state.entries.subscribe();
        let wait = async {
            while !condition(&lock(&self.state.ledger)) {
                entries.changed().await.expect("the provider is there");
            }
        };
        tokio::time::timeout(Duration::from_mins(1), wait)
            .await
            .expect("the provider gets the requests that the test waits for within a minute");
    }

    /// Waits until this many requests were made, beginning with the one after `seen`.
    pub async fn asked(&self, seen: usize, times: usize) {
        self.until(|ledger| ledger.entries.len() >= seen + times)
            .await;
    }
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Provider")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
