//! A name may be in a dedup key only once.

use campanile::channel::{EMAIL, INBOX};
use campanile::notifiable_event;

/// A member's role in the organization changed.
#[notifiable_event(
    "org.member.role_changed",
    category = "team",
    dedup(by(subject, new_role, subject)),
    channels(INBOX(title = "{{ org_name }}", body = "{{ new_role }}"))
)]
pub struct RoleChanged {
    pub org_name: String,
    pub new_role: String,
}

fn main() {
    let _ = [EMAIL, INBOX];
}
