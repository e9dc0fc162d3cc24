//! What a host may set of its live connections.

use std::fmt;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use rand::RngExt as _;

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
