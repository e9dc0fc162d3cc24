//! A template is text, here or in a file.

use campanile::channel::{EMAIL, INBOX};
use campanile::notifiable_event;

/// A member's role in the organization changed.
#[notifiable_event(
    "org.member.role_changed",
    category = "team",
    channels(
        INBOX(title = 5, body = include_str!("templates/broken.html")),
        EMAIL(subject, html = file(5)),
    ),
)]
pub struct RoleChanged {
    pub org_name: String,
    pub new_role: String,
}

fn main() {
    let _ = [EMAIL, INBOX];
}
