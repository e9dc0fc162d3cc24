//! The **settings** of the router: the rate of one user's requests, trusted origins, live connections.

use std::time::Duration;

use futures_util::FutureExt as _;
use tower_http::csrf::CsrfLayer;

use crate::live::options::Options;
use crate::settings_page::words::SettingsPage;

/// The settings of a [`router`](crate::router). [`Settings::default`] needs nothing else.
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
    #[error("`{0}` is not an origin: write `https://app.example.com`, without a path")]
    InvalidOrigin(String),
}

impl Default for Settings {
    /// 10 requests a second for each user, 60 at once; no other origin is trusted.
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
    /// How many requests one user may send to one process: in the long run for each second, and at once.
    #[must_use]
    pub fn rate(mut self, requests_per_second: u32, burst: u32) -> Self {
        self.requests_per_second = requests_per_second.max(1);
        self.burst = burst.max(1);
        self
    }

    /// Trusts the pages of another origin, `https://app.example.com`, so that they may change something.
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

    /// The texts of the settings page: its title, its language, its words.
    #[must_use]
    pub fn page(mut self, page: SettingsPage) -> Self {
        self.page = page;
        self
    }

    /// How often the database is polled for commits of other processes, while there are connections. Default: every two seconds,
    /// give or take a quarter. Commits of this process are sent at once, and with [`WakeUp::Notify`](campanile::WakeUp) those of
    /// other processes too; a transaction of the host's own is, once it is
    /// [announced](campanile::Dispatcher::announce_commit).
    #[must_use]
    pub fn live_poll_interval(mut self, poll_interval: Duration) -> Self {
        self.live.poll_interval = poll_interval.max(Duration::from_millis(10));
        self
    }

    /// How often a heartbeat is sent on an idle connection, so that neither a proxy nor the browser closes it, and a client that
    /// receives nothing for twice as long knows that it is broken. Default: 20 seconds.
    #[must_use]
    pub fn live_heartbeat(mut self, heartbeat: Duration) -> Self {
        self.live.heartbeat = heartbeat.max(Duration::from_millis(10));
        self
    }

    /// The maximum lifetime of a connection. Default: 15 minutes. The session is checked only when a connection begins: a user
    /// who signs out, or is signed out, may receive events for that long. Clients reconnect automatically.
    #[must_use]
    pub fn live_lifetime(mut self, max_lifetime: Duration) -> Self {
        self.live.max_lifetime = max_lifetime.max(Duration::from_millis(10));
        self
    }

    /// How many connections one user may have to one process. Default: 8. Further ones are refused, with 429.
    #[must_use]
    pub fn live_connections(mut self, max_per_user: usize) -> Self {
        self.live.max_per_user = max_per_user.max(1);
        self
    }

    /// A signal that the app shuts down. Live connections end then, and new ones are refused. Without it axum's graceful shutdown
    /// would wait for the last of them, up to their [maximum lifetime](Settings::live_lifetime).
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
    /// A client that has stopped reading still holds its connection until the operating system closes it: put a deadline around
    /// the shutdown, as for any other response.
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
    fn an_invalid_origin_is_refused_with_an_example() {
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
