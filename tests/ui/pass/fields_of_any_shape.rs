//! Enums, options, nested structs, boxes of itself, raw identifiers.
#![deny(warnings)]

use std::collections::BTreeMap;

use campanile::channel::INBOX;
use campanile::event::NotifiableEvent;
use campanile::notifiable_event;
use campanile::serde::{Deserialize, Serialize};
use campanile::serde_json::json;

#[derive(Serialize, Deserialize)]
#[serde(crate = "campanile::serde", rename_all = "snake_case")]
pub enum Role {
    Admin,
    Member,
}

#[derive(Serialize, Deserialize)]
#[serde(crate = "campanile::serde")]
pub struct Person {
    pub name: String,
    pub email: Option<String>,
}

type Lines = Vec<Line>;

#[derive(Serialize, Deserialize)]
#[serde(crate = "campanile::serde")]
pub struct Line {
    pub text: String,
    pub amount: f64,
}

/// Something with fields of many shapes.
#[notifiable_event(
    "shop.order.placed",
    category = "orders",
    dedup(by(subject, role, r#type, note, parent)),
    channels(INBOX(
        title = "{{ type }}: {{ person.name }}{% if note %}, {{ note | title }}{% endif %}",
        body = "{% for line in lines %}{{ loop.index }}. {{ line.text }}: {{ line.amount | round(2) }}\n{% endfor %}
                {% for key, value in extra | items %}{{ key }}={{ value }}{% endfor %}
                {% if role is defined and role == 'admin' %}{% set word = 'boss' %}{% else %}{% set word = 'friend' %}{% endif %}
                {{ word }} {{ range(3) | join(', ') }}{% raw %}{{ not_a_field }}{% endraw %}{# {{ nor_this }} #}",
    ))
)]
#[serde(deny_unknown_fields)]
pub struct Placed {
    pub role: Role,
    pub person: Person,
    pub r#type: String,
    #[serde(default)]
    pub note: Option<String>,
    pub lines: Lines,
    #[serde(default)]
    pub extra: BTreeMap<String, campanile::serde_json::Value>,
    #[serde(default)]
    pub parent: Option<Box<Self>>,
}

fn main() {
    assert_eq!(
        Placed::DECLARATION.fields,
        ["role", "person", "type", "note", "lines", "extra", "parent"]
    );
    let read = (Placed::DECLARATION.read)(json!({
        "role": "admin",
        "person": { "name": "Ada", "email": null },
        "type": "gift",
        "lines": [{ "text": "a bell", "amount": 1.5 }],
    }));
    assert!(read.is_ok(), "{read:?}");
}
