//! A channel is a const, so rustc suggests similar names; nothing is reported twice.

use campanile::channel::{EMAIL, INBOX};
use campanile::notifiable_event;

/// A member's role in the organization changed.
#[notifiable_event(
    "org.member.role_changed",
    category = "team",
    channels(
        EMIAL(subject = "{{ org_name }}", html = "{{ new_role }}"),
        INBOX(title = "{{ org_name }}", body = "{{ new_role }}"),
    ),
    critical = EMIAL,
)]
pub struct RoleChanged {
    pub org_name: String,
    pub new_role: String,
}

fn main() {
    let _ = [EMAIL, INBOX];
}
