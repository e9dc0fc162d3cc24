//! rustc reports it once, although the type is also checked as a part of the dedup key.

use campanile::channel::INBOX;
use campanile::notifiable_event;

/// A member's role in the organization changed.
#[notifiable_event(
    "org.member.role_changed",
    category = "team",
    dedup(by(new_role)),
    channels(INBOX(title = "..", body = ".."))
)]
pub struct RoleChanged {
    pub new_role: Role,
}

fn main() {}
