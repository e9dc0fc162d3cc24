//! A text, a number and a boolean have no fields.

use campanile::channel::INBOX;
use campanile::notifiable_event;
use campanile::serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(crate = "campanile::serde")]
pub struct Person {
    pub name: String,
}

/// A report was shared.
#[notifiable_event(
    "lab.report.shared",
    category = "lab",
    channels(INBOX(title = "{{ by.nam }}", body = "{{ pages.count }} {{ person.name }}"))
)]
pub struct Shared {
    pub by: Option<String>,
    pub pages: u32,
    pub person: Person,
}

fn main() {}
