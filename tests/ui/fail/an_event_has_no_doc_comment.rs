//! The doc comment is for users, so it is not optional.

use campanile::channel::INBOX;
use campanile::notifiable_event;

#[notifiable_event("a.b.c", category = "team", channels(INBOX(title = "..", body = "..")))]
pub struct Undocumented;

fn main() {}
