//! The inspector's page in a real browser: the whole story, from the keyboard alone, on a narrow screen, with a token,
//! and with more than a page of notifications.
//!
//! Needs Chromium and its driver: `apt-get install -y chromium chromium-driver`.

#![allow(clippy::unwrap_used, reason = "a test binary, helpers included")]

mod stage;
mod story;
mod keyboard;
mod narrow;
mod token;
mod many;
