//! One word.

use campanile::channel::{EMAIL, INBOX};
use campanile::notifiable_event;

/// A member's role in the organization changed.
#[notifiable_event(
    "org.member.role_changed",
    category = "My Team",
    channels(INBOX(title = "{{ org_name }}", body = "{{ new_role }}"))
)]
pub struct RoleChanged {
    pub org_name: String,
    pub new_role: String,
}

fn main() {
    let _ = [EMAIL, INBOX];
}
