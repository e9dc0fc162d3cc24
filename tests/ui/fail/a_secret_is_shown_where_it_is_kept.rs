//! A secret field may only be used by channels that do not store what they show, and not in a dedup key.

use campanile::channel::{EMAIL, INBOX};
use campanile::notifiable_event;

/// You asked for a link to sign in with.
#[notifiable_event(
    "auth.link.requested",
    category = "security",
    channels(
        INBOX(title = "A link was sent", body = "It is {{ link }}."),
        EMAIL(subject = "Sign in", html = "<a href=\"{{ link }}\">Sign in</a>"),
    )
)]
pub struct LinkRequested {
    #[notifiable(secret)]
    pub link: String,
}

/// A code was sent.
#[notifiable_event(
    "auth.code.requested",
    category = "security",
    dedup(by(subject, code)),
    channels(EMAIL(subject = "Your code", html = "{{ code }}"))
)]
pub struct CodeRequested {
    #[notifiable(secret)]
    pub code: String,
    #[notifiable(hidden)]
    pub other: String,
}

fn main() {}
