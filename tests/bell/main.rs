//! `<campanile-bell>` in a real browser, on a page of a host's with a strict policy.
//!
//! Needs Chromium and its driver (`apt-get install -y chromium chromium-driver`), and axe-core from npm: `test.sh` fetches it.

#![allow(clippy::unwrap_used, reason = "a test binary, helpers included")]

mod host;
mod weather;
mod stage;
mod axe;
mod states;
mod mouse;
mod keyboard;
mod told;
mod tabs;
mod restart;
mod hostile;
mod screens;
mod texts;
mod headless;
