//! The **limits** that a host may set on the [`Builder`](crate::Builder).

use std::time::Duration;

use crate::plan::render::HttpLinks;

/// A longer one would hold deliveries that other workers could send.
const MAX_TIME_TO_START: Duration = Duration::from_secs(15);

/// The numbers a host may set on the [`Builder`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) max_recipients: usize,
    pub(crate) chunk: usize,
    pub(crate) inline_deliveries: usize,
    pub(crate) attempt_timeout: Duration,
    pub(crate) lease: Duration,
    pub(crate) lock_wait: Duration,
    pub(crate) http_links: HttpLinks,
}

impl Limits {
    /// How long after its claim a round may begin calls: half of an attempt's time, and at most 15 seconds.
    pub(crate) fn time_to_start(&self) -> Duration {
        (self.attempt_timeout / 2).min(MAX_TIME_TO_START)
    }
}
