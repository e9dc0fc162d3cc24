//! What a host may set of its live connections.

use std::fmt;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use rand::RngExt as _;

use crate::settings::Settings;

#[derive(Clone)]
pub(crate) struct Options {
    pub(crate) poll_interval: Duration,
    pub(crate) heartbeat: Duration,
    pub(crate) longest: Duration,
    pub(crate) most_of_one_user: usize,
    pub(crate) shutdown: Shared<BoxFuture<'static, ()>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            poll_interval: Duration::from_secs(2),
            heartbeat: Duration::from_secs(20),
            longest: Duration::from_mins(15),
            most_of_one_user: 8,
            shutdown: std::future::pending().boxed().shared(),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("poll_interval", &self.poll_interval)
            .field("heartbeat", &self.heartbeat)
            .field("longest", &self.longest)
            .field("most_of_one_user", &self.most_of_one_user)
            .finish_non_exhaustive()
    }
}

impl Options {
    /// How long a connection may last: up to a quarter less than the longest, so that those that began together, after a restart
    /// for example, do not end together.
    pub(crate) fn lifetime(&self) -> Duration {
        rand::rng().random_range(self.longest * 3 / 4..=self.longest)
    }
}

impl Settings {
    /// How often the database is asked for what other processes did, while anybody is connected. Default: every two seconds, give
    /// or take a quarter. What this process does is told at once, and what others do too with
    /// [`WakeUp::Notify`](campanile::WakeUp); a transaction of the host's own
    /// [`when it says so`](campanile::Dispatcher::announce_commit).
    #[must_use]
    pub fn live_poll_interval(mut self, poll_interval: Duration) -> Self {
        self.live.poll_interval = poll_interval.max(Duration::from_millis(10));
        self
    }

    /// How often a connection on which nothing happens is written to, so that neither a proxy nor the browser gives it up, and a
    /// client that hears nothing for twice as long knows that it is broken. Default: 20 seconds.
    #[must_use]
    pub fn live_heartbeat(mut self, heartbeat: Duration) -> Self {
        self.live.heartbeat = heartbeat.max(Duration::from_millis(10));
        self
    }

    /// How long a connection lasts at most. Default: 15 minutes. A session is looked at when a connection
    /// begins, and not again: whoever signs out, or is thrown out, may hear of their inbox for that long. Clients connect again
    /// by themselves.
    #[must_use]
    pub fn live_lifetime(mut self, longest: Duration) -> Self {
        self.live.longest = longest.max(Duration::from_millis(10));
        self
    }

    /// How many connections one user may have to one process. Default: 8. Further ones are refused, with 429.
    #[must_use]
    pub fn live_connections(mut self, most_of_one_user: usize) -> Self {
        self.live.most_of_one_user = most_of_one_user.max(1);
        self
    }

    /// When the app begins to shut down. Live connections end then, and no new ones begin. Without it axum's graceful shutdown
    /// would wait for the last of them, up to the [longest](Settings::live_lifetime) time they may last.
    ///
    /// ```
    /// # async fn serve(dispatcher: campanile::Dispatcher, listener: tokio::net::TcpListener) -> std::io::Result<()> {
    /// # #[derive(Clone)] struct User;
    /// # impl campanile_web::Viewer for User { fn user_id(&self) -> &str { "" } }
    /// # impl<S: Sync> axum::extract::FromRequestParts<S> for User {
    /// #     type Rejection = ();
    /// #     async fn from_request_parts(_: &mut axum::http::request::Parts, _: &S) -> Result<Self, ()> { Ok(Self) }
    /// # }
    /// let (stop, stopping) = tokio::sync::watch::channel(());
    /// let stopped = |mut stopping: tokio::sync::watch::Receiver<()>| async move {
    ///     let _ = stopping.changed().await; // also when `stop` is dropped
    /// };
    /// let settings = campanile_web::Settings::default().shutdown(stopped(stopping.clone()));
    /// let app = axum::Router::new().nest(
    ///     "/notifications",
    ///     campanile_web::router::<(), User>(dispatcher, settings),
    /// );
    /// # drop(stop);
    /// axum::serve(listener, app).with_graceful_shutdown(stopped(stopping)).await
    /// # }
    /// ```
    ///
    /// A client that has stopped to read holds its connection all the same until the operating system gives it up: put a deadline
    /// around the shutdown, as for any other response.
    #[must_use]
    pub fn shutdown(mut self, signal: impl Future<Output = ()> + Send + 'static) -> Self {
        self.live.shutdown = signal.boxed().shared();
        self
    }
}
