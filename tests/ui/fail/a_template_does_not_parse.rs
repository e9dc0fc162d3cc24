//! The message contains the position in the template, because rustc can only point at the whole literal.

use campanile::channel::{EMAIL, INBOX};
use campanile::notifiable_event;

/// A member's role in the organization changed.
#[notifiable_event(
    "org.member.role_changed",
    category = "team",
    channels(
        INBOX(title = "{{ org_name ", body = "{% if new_role %}"),
        EMAIL(subject = "{{ org_name | }}", html = "{% fro x in y %}{% endfor %}"),
    )
)]
pub struct RoleChanged {
    pub org_name: String,
    pub new_role: String,
}

fn main() {
    let _ = [EMAIL, INBOX];
}
