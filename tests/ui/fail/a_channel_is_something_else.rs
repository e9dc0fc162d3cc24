//! Only a channel's declaration is a channel.

use campanile::channel::{EMAIL, INBOX};
use campanile::notifiable_event;

const NOT_A_CHANNEL: &str = "inbox";

/// A member's role in the organization changed.
#[notifiable_event(
    "org.member.role_changed",
    category = "team",
    channels(NOT_A_CHANNEL(title = "{{ org_name }}"))
)]
pub struct RoleChanged {
    pub org_name: String,
    pub new_role: String,
}

fn main() {
    let _ = [EMAIL, INBOX];
}
