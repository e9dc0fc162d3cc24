//! What a host may **set**: how much one user may ask for, which other origins it trusts.

use std::time::Duration;

use futures_util::FutureExt as _;
use tower_http::csrf::CsrfLayer;

use crate::live::options::Options;
use crate::settings_page::words::SettingsPage;

/// What a host may set of its [`router`](crate::router). [`Settings::default`] needs nothing.
#[derive(Debug, Clone)]
pub struct Settings {
    pub(crate) requests_per_second: u32,
    pub(crate) burst: u32,
    pub(crate) trusted_origins: Vec<String>,
    pub(crate) page: SettingsPage,
    pub(crate) live: Options,
}

/// Why a setting is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// Not an origin.
    #[error("`{0}` is no origin: write `https://app.example.com`, without a path")]
    InvalidOrigin(String),
}

impl Default for Settings {
    /// 10 requests a second for each user, 60 at once; no origin but the host's own.
    fn default() -> Self {
        Self {
            requests_per_second: 10,
            burst: 60,
            trusted_origins: Vec::new(),
            page: SettingsPage::default(),
            live: Options::default(),
        }
    }
}

impl Settings {
    /// How much one user may ask of one process: so many requests a second in the long run, and so many at once.
    #[must_use]
    pub fn rate(mut self, requests_per_second: u32, burst: u32) -> Self {
        self.requests_per_second = requests_per_second.max(1);
        self.burst = burst.max(1);
        self
    }

    /// Another origin whose pages may change something, `https://app.example.com`.
    ///
    /// # Errors
    ///
    /// [`SettingsError::InvalidOrigin`].
    pub fn trust_origin(mut self, origin: impl Into<String>) -> Result<Self, SettingsError> {
        let origin = origin.into();
        if CsrfLayer::new().add_trusted_origin(&origin).is_err() {
            return Err(SettingsError::InvalidOrigin(origin));
        }
        self.trusted_origins.push(origin);
        Ok(self)
    }

    /// What the settings page says: its title, its language, its words.
    #[must_use]
    pub fn page(mut self, page: SettingsPage) -> Self {
        self.page = page;
        self
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_meant_is_refused_with_what_to_write() {
        for wrong in ["app.example.com", "https://app.example.com/path", ""] {
            let error = Settings::default().trust_origin(wrong).unwrap_err();
            assert!(error.to_string().contains("`https://app.example.com`"));
        }
        assert!(
            Settings::default()
                .trust_origin("https://app.example.com")
                .is_ok()
        );
    }
}
