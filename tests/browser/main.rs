//! The inspector's page in a real browser: the whole story, from the keyboard alone, on a narrow screen, and with
//! a token.
//!
//! The inspector's events and those of the other tests have the same types, so it takes the browser as source, without the
//! crate that declares their events.
//!
//! Needs Chromium and its driver: `apt-get install -y chromium chromium-driver`.

#![allow(clippy::unwrap_used, reason = "a test binary, helpers included")]

#[allow(
    dead_code,
    unreachable_pub,
    reason = "it has what other tests need too"
)]
#[path = "../src/browser.rs"]
mod browser;
mod stage;
mod story;
mod keyboard;
mod narrow;
mod token;
