//! What is **measured**, and where the figures come from.

pub(crate) mod memory;
pub(crate) mod processor;
pub(crate) mod server;

use std::time::Duration;

use serde::Serialize;

/// A figure of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
}

macro_rules! figures {
    ($($const:ident = $name:literal, $unit:literal;)+) => {
        $(pub(crate) const $const: Figure = Figure { name: $name, unit: $unit };)+
    };
}

figures! {
    RATE = "rate", "1/s";
    P50 = "p50", "ms";
    P99 = "p99", "ms";
    TIME = "time", "ms";
    SERVER_CPU = "server CPU", "µs each";
    CLIENT_CPU = "client CPU", "µs each";
    STATEMENTS = "statements", "";
    MEMORY = "peak memory", "MiB";
    WAL = "WAL", "bytes each";
    CLAIM = "claim", "ms";
    SECONDS = "time", "s";
}

/// What one contender did in one round.
pub(crate) type Sample = Vec<(Figure, f64)>;

/// A number as a figure; those here are far below 2^52.
#[allow(
    clippy::cast_precision_loss,
    reason = "a figure needs no more than six digits"
)]
pub(crate) const fn float(number: u64) -> f64 {
    number as f64
}

pub(crate) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// The 50th and the 99th percentile.
pub(crate) fn percentiles(times: &mut [Duration]) -> Sample {
    times.sort_unstable();
    let at = |part: usize| times.get(times.len().saturating_sub(1) * part / 100);
    let figures = [(P50, at(50)), (P99, at(99))];
    let known = figures.into_iter();
    known
        .filter_map(|(figure, time)| Some((figure, millis(*time?))))
        .collect()
}
