//! The message names the file, the line and the column.

use campanile::channel::{EMAIL, INBOX};
use campanile::notifiable_event;

/// A member's role in the organization changed.
#[notifiable_event(
    "org.member.role_changed",
    category = "team",
    channels(
        INBOX(title = "{{ org_name }}", body = file("templates/broken.html")),
        EMAIL(subject = "{{ org_name }}", html = file("templates/unknown_variable.html")),
    ),
)]
pub struct RoleChanged {
    pub org_name: String,
    pub new_role: String,
}

fn main() {
    let _ = [EMAIL, INBOX];
}
