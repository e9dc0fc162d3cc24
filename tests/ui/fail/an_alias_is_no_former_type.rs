//! An alias differs from the event's own type, and is listed once.

use campanile::channel::{EMAIL, INBOX};
use campanile::notifiable_event;

/// A member's role in the organization changed.
#[notifiable_event(
    "org.member.role_changed",
    category = "team",
    channels(INBOX(title = "{{ org_name }}", body = "{{ new_role }}")),
    aliases("org.member.role_changed", "org.role.changed", "org.role.changed")
)]
pub struct RoleChanged {
    pub org_name: String,
    pub new_role: String,
}

fn main() {
    let _ = [EMAIL, INBOX];
}
