//! A template knows the fields and nothing else; the same slip twice is one mistake.

use campanile::channel::{EMAIL, INBOX};
use campanile::notifiable_event;

/// A member's role in the organization changed.
#[notifiable_event(
    "org.member.role_changed",
    category = "team",
    channels(INBOX(
        title = "{{ org }}",
        body = "{{ new_roll }}, yes: {{ new_roll }}{% for x in [1] %}{% endfor %}{{ x }}",
    ),)
)]
pub struct RoleChanged {
    pub org_name: String,
    pub new_role: String,
}

fn main() {
    let _ = [EMAIL, INBOX];
}
