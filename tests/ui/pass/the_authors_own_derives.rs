//! Whoever derives serde's traits on their own keeps them; what they leave out is added.
#![deny(warnings)]

use campanile::channel::INBOX;
use campanile::event::NotifiableEvent;
use campanile::notifiable_event;
use campanile::serde::{self, Deserialize, Serialize};

/// Both are derived.
#[notifiable_event(
    "test.derive.both",
    category = "test",
    channels(INBOX(title = "{{ a }}", body = ".."))
)]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Both {
    pub a: u8,
}

/// One is derived.
#[notifiable_event(
    "test.derive.one",
    category = "test",
    channels(INBOX(title = "{{ a }}", body = ".."))
)]
#[derive(Debug, serde::Serialize)]
pub struct One {
    pub a: u8,
}

/// One is derived, with serde under a name of its own.
#[notifiable_event(
    "test.derive.named",
    category = "test",
    channels(INBOX(title = "{{ a }}", body = ".."))
)]
#[derive(Deserialize)]
#[serde(crate = "campanile::serde")]
pub struct Named {
    pub a: u8,
}

fn main() {
    assert_eq!(Both::DECLARATION.fields, One::DECLARATION.fields);
    assert_eq!(Named::DECLARATION.fields, ["a"]);
}
