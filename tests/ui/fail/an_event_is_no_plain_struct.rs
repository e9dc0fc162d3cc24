//! Items that cannot be events, each with the reason, and without errors from serde or a call site.

use campanile::channel::INBOX;
use campanile::event::NotifiableEvent as _;
use campanile::notifiable_event;

/// A parameter.
#[notifiable_event(
    "a.b.c",
    category = "team",
    channels(INBOX(title = "{{ a }}", body = ".."))
)]
pub struct Generic<T> {
    pub a: T,
}

/// A lifetime.
#[notifiable_event(
    "a.b.d",
    category = "team",
    channels(INBOX(title = "{{ a }}", body = ".."))
)]
pub struct Borrowed<'a> {
    pub a: &'a str,
}

/// An enum.
#[notifiable_event(
    "a.b.e",
    category = "team",
    channels(INBOX(title = "{{ a }}", body = ".."))
)]
pub enum Either {
    One,
    Other { a: String },
}

/// A union.
#[notifiable_event(
    "a.b.f",
    category = "team",
    channels(INBOX(title = "{{ a }}", body = ".."))
)]
pub union Overlaid {
    pub a: u8,
    pub b: i8,
}

/// A tuple.
#[notifiable_event(
    "a.b.g",
    category = "team",
    channels(INBOX(title = "{{ a }}", body = ".."))
)]
pub struct Tuple(pub String);

/// A function.
#[notifiable_event("a.b.h", category = "team", channels(INBOX(title = "..", body = "..")))]
pub fn function() {}

/// Two events.
#[notifiable_event("a.b.i", category = "team", channels(INBOX(title = "..", body = "..")))]
#[notifiable_event("a.b.j", category = "team", channels(INBOX(title = "..", body = "..")))]
pub struct Two;

fn main() {
    let _ = Generic { a: 1_u8 }.about("1").to(["u_1"]);
    let _ = Borrowed { a: "b" }.about("1").to(["u_1"]);
    let _ = Either::One.about("1").to(["u_1"]);
    let _ = Tuple("a".to_owned()).about("1").to(["u_1"]);
    let _ = Two.to(["u_1"]);
    function();
}
