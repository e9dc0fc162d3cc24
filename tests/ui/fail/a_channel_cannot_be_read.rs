//! A channel that cannot be read is one mistake: parts that are missing because of it are not reported.

use campanile::channel::{EMAIL, INBOX, PUSH};
use campanile::notifiable_event;

/// The critical channel is the one that cannot be read.
#[notifiable_event("a.b.c", category = "team", channels(INBOX(title = "..", body = ".."), "push"), critical = PUSH)]
pub struct Critical;

/// The needed part is the one that cannot be read.
#[notifiable_event("a.b.d", category = "team", channels(EMAIL("..", html = "..")))]
pub struct Needed;

/// The channel does not exist under either name.
#[notifiable_event(
    "a.b.e",
    category = "team",
    channels(INBX(title = ".."), INBX(body = ".."))
)]
pub struct Twice;

fn main() {
    let _ = [EMAIL, INBOX, PUSH];
}
