//! The channel's own const says what it knows; beside an unknown part none is missing.

use campanile::channel::{EMAIL, INBOX};
use campanile::notifiable_event;

/// A member's role in the organization changed.
#[notifiable_event(
    "org.member.role_changed",
    category = "team",
    channels(
        EMAIL(subjct = "{{ org_name }}", html = "{{ new_role }}"),
        INBOX(title = "{{ org_name }}", body = "{{ new_role }}", sound = "ding"),
    )
)]
pub struct RoleChanged {
    pub org_name: String,
    pub new_role: String,
}

fn main() {
    let _ = [EMAIL, INBOX];
}
