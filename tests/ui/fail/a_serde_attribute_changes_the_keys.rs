//! Templates, dedup keys and stored payloads all use the names of the fields.

use campanile::channel::INBOX;
use campanile::notifiable_event;

/// A member's role in the organization changed.
#[notifiable_event(
    "org.member.role_changed",
    category = "team",
    channels(INBOX(title = "{{ org_name }}", body = ".."))
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RoleChanged {
    #[serde(rename = "organization")]
    pub org_name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor_name: Option<String>,
    #[serde(skip)]
    pub secret: String,
    #[serde(flatten)]
    pub more: campanile::serde_json::Value,
    #[serde(alias = "role", default)]
    pub new_role: String,
    #[cfg(unix)]
    pub socket: String,
}

/// Something else altogether.
#[notifiable_event(
    "org.member.removed",
    category = "team",
    channels(INBOX(title = "..", body = ".."))
)]
#[serde(transparent)]
pub struct Removed {
    pub name: String,
}

fn main() {}
