//! The **metrics** and spans for operators: one name for each metric, and the link from a dispatch to its attempts.
//!
//! Without the features `metrics` and `opentelemetry` nothing here does anything. Labels are channels, events and
//! outcomes: never a user, an address or a payload.
//!
//! Their names, kinds and labels are listed in the table of `docs/reference.md`, which a test compares with this file.
//!
//! `messaging.destination.name` is the channel; names with `messaging.` are those of OpenTelemetry's semantic conventions for
//! messaging. Spans and log lines (target `campanile`) have the fields `event_type`, `channel`, `recipients`, `deliveries`,
//! `delivery_id`, `attempt`, `outcome`, `status`, `error_class`, `error`, `reason` (of a pause) and `failures` (in a row, of a
//! worker that polls the database).

use std::time::Duration;

use crate::report::DispatchReport;
use crate::store::workers::QueueRow;

/// A dispatch is over.
pub(crate) fn notifications(event_type: &'static str, report: &DispatchReport) {
    #[cfg(feature = "metrics")]
    for (outcome, count) in [
        ("admitted", report.admitted),
        ("deduped", report.deduped),
        ("suppressed", report.fully_suppressed),
        ("failed", report.fully_failed),
    ] {
        if count > 0 {
            metrics::counter!("campanile.notifications", "event_type" => event_type, "outcome" => outcome)
                .increment(count as u64);
        }
    }
    #[cfg(not(feature = "metrics"))]
    let _ = (event_type, report);
}

/// Counts a delivery that changed its state.
pub(crate) fn delivery(channel: &'static str, state: &'static str) {
    #[cfg(feature = "metrics")]
    metrics::counter!("campanile.deliveries", "messaging.destination.name" => channel, "state" => state)
        .increment(1);
    #[cfg(not(feature = "metrics"))]
    let _ = (channel, state);
}

/// An attempt is over.
pub(crate) fn attempt(
    channel: &'static str,
    outcome: &'static str,
    error_class: Option<&'static str>,
) {
    #[cfg(feature = "metrics")]
    metrics::counter!(
        "messaging.client.sent.messages",
        "messaging.system" => "campanile",
        "messaging.destination.name" => channel,
        "outcome" => outcome,
        "error.type" => error_class.unwrap_or_default(),
    )
    .increment(1);
    #[cfg(not(feature = "metrics"))]
    let _ = (channel, outcome, error_class);
}

/// Records a call of a channel that has ended.
pub(crate) fn call(channel: &'static str, took: Duration) {
    #[cfg(feature = "metrics")]
    metrics::histogram!(
        "messaging.client.operation.duration",
        "messaging.system" => "campanile",
        "messaging.operation.name" => "deliver",
        "messaging.destination.name" => channel,
    )
    .record(took.as_secs_f64());
    #[cfg(not(feature = "metrics"))]
    let _ = (channel, took);
}

/// Deliveries whose lease had expired were taken over.
pub(crate) fn leases_rescued(channel: &'static str, deliveries: usize) {
    #[cfg(feature = "metrics")]
    if deliveries > 0 {
        metrics::counter!("campanile.leases.rescued", "messaging.destination.name" => channel)
            .increment(deliveries as u64);
    }
    #[cfg(not(feature = "metrics"))]
    let _ = (channel, deliveries);
}

/// Leases of this process were taken over by another.
pub(crate) fn leases_lost(channel: &'static str, deliveries: usize) {
    if deliveries > 0 {
        tracing::warn!(target: "campanile", channel, deliveries, "leases were lost; another worker has taken over");
    }
    #[cfg(feature = "metrics")]
    if deliveries > 0 {
        metrics::counter!("campanile.leases.lost", "messaging.destination.name" => channel)
            .increment(deliveries as u64);
    }
}

/// The queues, as measured by a worker's maintenance.
pub(crate) fn queue(rows: &[QueueRow]) {
    #[cfg(feature = "metrics")]
    for row in rows {
        metrics::gauge!(
            "campanile.queue.depth",
            "messaging.destination.name" => row.channel,
            "state" => row.state,
        )
        .set(row.depth);
        if let Some(age) = row.oldest {
            metrics::gauge!("campanile.queue.oldest.age", "messaging.destination.name" => row.channel)
                .set(age.as_secs_f64());
        }
    }
    #[cfg(not(feature = "metrics"))]
    let _ = rows;
}

/// Whether a channel is paused.
pub(crate) fn paused(channel: &'static str, is_paused: bool) {
    #[cfg(feature = "metrics")]
    metrics::gauge!("campanile.channel.paused", "messaging.destination.name" => channel)
        .set(if is_paused { 1.0 } else { 0.0 });
    #[cfg(not(feature = "metrics"))]
    let _ = (channel, is_paused);
}
