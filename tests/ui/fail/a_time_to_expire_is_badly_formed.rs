//! More than zero and at most a year: an event that expires at once would never be sent.

use campanile::channel::EMAIL;
use campanile::notifiable_event;

/// At once.
#[notifiable_event(
    "a.b.c",
    category = "team",
    expires_after = "0s",
    channels(EMAIL(subject = "..", html = ".."))
)]
pub struct AtOnce;

/// Negative.
#[notifiable_event(
    "a.b.d",
    category = "team",
    expires_after = "-5m",
    channels(EMAIL(subject = "..", html = ".."))
)]
pub struct Negative;

/// Too long.
#[notifiable_event(
    "a.b.e",
    category = "team",
    expires_after = "367d",
    channels(EMAIL(subject = "..", html = ".."))
)]
pub struct TooLong;

/// No unit of time.
#[notifiable_event(
    "a.b.f",
    category = "team",
    expires_after = "15 moons",
    channels(EMAIL(subject = "..", html = ".."))
)]
pub struct NoTime;

/// No number.
#[notifiable_event(
    "a.b.g",
    category = "team",
    expires_after = "soon",
    channels(EMAIL(subject = "..", html = ".."))
)]
pub struct NoNumber;

/// No string.
#[notifiable_event(
    "a.b.h",
    category = "team",
    expires_after = 900,
    channels(EMAIL(subject = "..", html = ".."))
)]
pub struct NoString;

fn main() {}
