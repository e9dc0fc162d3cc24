//! Every key of the attribute, with what becomes of it.

use std::time::Duration;

use campanile::channel::{EMAIL, INBOX};
use campanile::event::{MAX_WINDOW, NotifiableEvent};
use campanile::notifiable_event;

/// Your role in an organization
/// changed.
#[notifiable_event(
    "org.member.role_changed",
    category = "team",
    dedup(window = "15m", by(subject, new_role)),
    expires_after = "2h",
    channels(
        INBOX(
            title = "Your role in {{ org_name }} changed",
            body = "{{ actor_name }} made you {{ new_role }}.",
            action_url = "/org/members",
        ),
        EMAIL(
            subject = "Your role is now {{ new_role }}",
            html = file("emails/role_changed.html"),
        ),
    ),
    critical = EMAIL,
    aliases("org.member.role_updated", "org.role.changed"),
)]
#[derive(Debug, Clone)]
pub struct RoleChanged {
    pub org_name: String,
    pub actor_name: String,
    pub new_role: String,
}

/// You are welcome.
#[notifiable_event(
    "user.account.created",
    category = "account",
    dedup(window = "366d"),
    expires_after = "366d",
    channels(INBOX(title = "Hello", body = "Hello!"))
)]
pub struct Welcome;

/// A ping.
#[notifiable_event(
    "dev.tool.pinged",
    category = "dev",
    dedup(window = "0s", by()),
    channels(INBOX(title = "Ping", body = "Ping"))
)]
pub struct Pinged {}

fn main() {
    let declared = RoleChanged::DECLARATION;
    assert_eq!(declared.event_type, "org.member.role_changed");
    assert_eq!(
        declared.description,
        "Your role in an organization changed."
    );
    assert_eq!(declared.category, "team");
    assert_eq!(
        declared.aliases,
        ["org.member.role_updated", "org.role.changed"]
    );
    assert_eq!(declared.dedup.window, Duration::from_secs(15 * 60));
    assert_eq!(declared.dedup.by, ["subject", "new_role"]);
    assert_eq!(declared.expires_after, Some(Duration::from_hours(2)));
    assert_eq!(declared.fields, ["org_name", "actor_name", "new_role"]);
    assert_eq!(declared.critical, Some(&EMAIL));
    assert!(declared.is_critical("email") && !declared.is_critical("inbox"));
    let inbox = declared.channel("inbox").unwrap();
    assert_eq!(inbox.templates[2].part, "action_url");
    let email = declared.channel("email").unwrap();
    assert_eq!(
        email.templates[1].source,
        include_str!("emails/role_changed.html")
    );
    assert!(declared.location.file.ends_with("everything_written.rs"));
    assert_eq!(declared.location.line, 11, "the line of the attribute");
    assert_eq!(declared.location.krate, env!("CARGO_PKG_NAME"));

    assert_eq!(Welcome::DECLARATION.dedup.window, MAX_WINDOW);
    assert_eq!(Welcome::DECLARATION.dedup.by, ["subject"]);
    assert_eq!(Welcome::DECLARATION.expires_after, Some(MAX_WINDOW));
    assert!(Pinged::DECLARATION.dedup.window.is_zero());
    assert!(Pinged::DECLARATION.dedup.by.is_empty());
    assert_eq!(Pinged::DECLARATION.expires_after, None);

    let read = |json| (declared.read)(json).is_ok();
    assert!(read(
        campanile::serde_json::json!({ "org_name": "Tower", "actor_name": "Ada", "new_role": "admin" })
    ));
    assert!(!read(campanile::serde_json::json!({ "org_name": "Tower" })));
    let unit = campanile::serde_json::json!({});
    assert!((Welcome::DECLARATION.read)(unit.clone()).is_ok());
    assert!((Pinged::DECLARATION.read)(unit).is_ok());
}
