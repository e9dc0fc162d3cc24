//! Three words, joined by dots.

use campanile::channel::{EMAIL, INBOX};
use campanile::notifiable_event;

/// A member's role in the organization changed.
#[notifiable_event(
    "Org.Member.RoleChanged",
    category = "team",
    channels(INBOX(title = "{{ org_name }}", body = "{{ new_role }}")),
    aliases("org.member", "org-role-changed")
)]
pub struct RoleChanged {
    pub org_name: String,
    pub new_role: String,
}

fn main() {
    let _ = [EMAIL, INBOX];
}
