//! The **timeline** of a notification: when it was committed, each attempt, and how each delivery ended or when it is due.

use std::time::Duration;

use campanile::operate::{Attempt, DeliveryHistory, DeliveryState, DeliverySummary};
use jiff::Timestamp;

use crate::table::{Table, counted, or_dash, plain};

/// What happened at one time.
struct Moment<'a> {
    at: Timestamp,
    channel: &'a str,
    what: String,
    took: Option<Duration>,
    status: Option<u16>,
    error: Option<&'a str>,
}

/// The timeline, after one line for each delivery.
pub(crate) fn of(history: &DeliveryHistory) -> String {
    let mut text = String::new();
    if let Some(first) = history.deliveries.first() {
        text = format!(
            "notification {} of {} to {}\n",
            first.notification_id,
            plain(&first.event_type),
            plain(&first.user_id)
        );
    }
    for delivery in &history.deliveries {
        let attempts = counted(delivery.attempts.into(), "attempt", "attempts");
        let line = format!(
            "delivery {} over {}: {} after {attempts}\n",
            delivery.id,
            plain(&delivery.channel),
            delivery.state.as_str()
        );
        text.push_str(&line);
    }
    let mut table = Table::new(["WHEN", "CHANNEL", "WHAT", "TOOK", "STATUS", "ERROR"]);
    for moment in moments(history) {
        table.row([
            format!("{:.3}", moment.at),
            plain(moment.channel),
            moment.what,
            or_dash(moment.took.map(milliseconds)),
            or_dash(moment.status),
            or_dash(moment.error.map(plain)),
        ]);
    }
    format!("{text}\n{table}")
}

fn moments(history: &DeliveryHistory) -> Vec<Moment<'_>> {
    let mut moments = Vec::new();
    for delivery in &history.deliveries {
        moments.push(moment(
            delivery,
            delivery.created_at,
            "committed".to_owned(),
        ));
        let attempts = history
            .attempts
            .iter()
            .filter(|at| at.delivery_id == delivery.id);
        moments.extend(attempts.map(|attempt| tried(delivery, attempt)));
        if let Some(at) = delivery.finished_at {
            moments.push(moment(delivery, at, delivery.state.as_str().to_owned()));
        } else if delivery.state == DeliveryState::Pending {
            moments.push(moment(delivery, delivery.run_at, "due".to_owned()));
        }
    }
    // A stable sort: the entries of one delivery stay in their order.
    moments.sort_by_key(|moment| moment.at);
    moments
}

fn moment(delivery: &DeliverySummary, at: Timestamp, what: String) -> Moment<'_> {
    Moment {
        at,
        channel: &delivery.channel,
        what,
        took: None,
        status: None,
        error: None,
    }
}

fn tried<'a>(delivery: &'a DeliverySummary, attempt: &'a Attempt) -> Moment<'a> {
    Moment {
        at: attempt.started_at,
        channel: &delivery.channel,
        what: format!("attempt {}: {}", attempt.attempt, plain(&attempt.outcome)),
        took: Some(attempt.took),
        status: attempt.status,
        error: attempt.error.as_deref(),
    }
}

fn milliseconds(took: Duration) -> String {
    format!("{:.1} ms", took.as_secs_f64() * 1_000.0)
}
