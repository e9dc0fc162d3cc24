//! The settings of live connections.

use std::fmt;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use rand::RngExt as _;

#[derive(Clone)]
pub(crate) struct Options {
    pub(crate) poll_interval: Duration,
    pub(crate) heartbeat: Duration,
    pub(crate) max_lifetime: Duration,
    pub(crate) max_per_user: usize,
    pub(crate) shutdown: Shared<BoxFuture<'static, ()>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            poll_interval: Duration::from_secs(2),
            heartbeat: Duration::from_secs(20),
            max_lifetime: Duration::from_mins(15),
            max_per_user: 8,
            shutdown: std::future::pending().boxed().shared(),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("poll_interval", &self.poll_interval)
            .field("heartbeat", &self.heartbeat)
            .field("max_lifetime", &self.max_lifetime)
            .field("max_per_user", &self.max_per_user)
            .finish_non_exhaustive()
    }
}

impl Options {
    /// How long a connection lasts: the maximum less a random time of up to a quarter, so that connections that began together,
    /// after a restart for example, do not end together.
    pub(crate) fn lifetime(&self) -> Duration {
        rand::rng().random_range(self.max_lifetime * 3 / 4..=self.max_lifetime)
    }
}
