//! At run time these would fail, in the branch that uses them.

use campanile::channel::{EMAIL, INBOX};
use campanile::notifiable_event;

/// A member's role in the organization changed.
#[notifiable_event(
    "org.member.role_changed",
    category = "team",
    channels(INBOX(
        title = "{{ org_name | uper }}{{ org_name.upper() }}",
        body = "{% if new_role is defind %}{{ rang(3) }}{{ new_role() }}{% endif %}",
    ),)
)]
pub struct RoleChanged {
    pub org_name: String,
    pub new_role: String,
}

fn main() {
    let _ = [EMAIL, INBOX];
}
