//! A whole number and a unit, at most a year.

use campanile::channel::INBOX;
use campanile::notifiable_event;

/// Without a unit.
#[notifiable_event(
    "a.b.c",
    category = "team",
    dedup(window = "60"),
    channels(INBOX(title = "..", body = ".."))
)]
pub struct WithoutUnit;

/// Negative.
#[notifiable_event(
    "a.b.d",
    category = "team",
    dedup(window = "-5s"),
    channels(INBOX(title = "..", body = ".."))
)]
pub struct Negative;

/// Broken.
#[notifiable_event(
    "a.b.e",
    category = "team",
    dedup(window = "1.5h"),
    channels(INBOX(title = "..", body = ".."))
)]
pub struct Broken;

/// Too long.
#[notifiable_event(
    "a.b.f",
    category = "team",
    dedup(window = "367d"),
    channels(INBOX(title = "..", body = ".."))
)]
pub struct TooLong;

/// A word for a unit.
#[notifiable_event(
    "a.b.g",
    category = "team",
    dedup(window = "60 seconds"),
    channels(INBOX(title = "..", body = ".."))
)]
pub struct Word;

/// No string.
#[notifiable_event(
    "a.b.h",
    category = "team",
    dedup(window = 60),
    channels(INBOX(title = "..", body = ".."))
)]
pub struct NoString;

fn main() {}
