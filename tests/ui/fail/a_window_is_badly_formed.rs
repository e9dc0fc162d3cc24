//! A number and a unit, whole milliseconds, at most a year.

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

/// Too fine.
#[notifiable_event(
    "a.b.e",
    category = "team",
    dedup(window = "1500us"),
    channels(INBOX(title = "..", body = ".."))
)]
pub struct TooFine;

/// Too long.
#[notifiable_event(
    "a.b.f",
    category = "team",
    dedup(window = "367d"),
    channels(INBOX(title = "..", body = ".."))
)]
pub struct TooLong;

/// No unit of time.
#[notifiable_event(
    "a.b.g",
    category = "team",
    dedup(window = "60 moons"),
    channels(INBOX(title = "..", body = ".."))
)]
pub struct NoTime;

/// No string.
#[notifiable_event(
    "a.b.h",
    category = "team",
    dedup(window = 60),
    channels(INBOX(title = "..", body = ".."))
)]
pub struct NoString;

fn main() {}
