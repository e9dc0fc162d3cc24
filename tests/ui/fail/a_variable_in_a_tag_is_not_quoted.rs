//! A variable in a tag must be in quotes, otherwise the payload could add attributes.

use campanile::channel::{EMAIL, INBOX};
use campanile::notifiable_event;

/// A report was shared.
#[notifiable_event(
    "lab.report.shared",
    category = "lab",
    channels(
        INBOX(title = "<a href={{ url }}>", body = ".."),
        EMAIL(subject = "<a href={{ url }}>", html = "<p>A report:</p>\n<a href={{ url }}>open</a>"),
    )
)]
pub struct Shared {
    pub url: String,
}

fn main() {}
