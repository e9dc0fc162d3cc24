//! `subject` in a dedup key is what the event is about. It is no mistake where no key names it.

use campanile::channel::EMAIL;
use campanile::notifiable_event;

/// A ticket was answered.
#[notifiable_event(
    "support.ticket.answered",
    category = "support",
    dedup(by(subject)),
    channels(EMAIL(subject = "{{ subject }}", html = ".."))
)]
pub struct Answered {
    pub subject: String,
}

/// A ticket was closed.
#[notifiable_event(
    "support.ticket.closed",
    category = "support",
    channels(EMAIL(subject = "{{ subject }}", html = ".."))
)]
pub struct Closed {
    pub subject: String,
}

fn main() {}
