//! The settings page in a real browser, with JavaScript and without; and the example, with its bell.
//!
//! Needs Chromium and its driver (`apt-get install -y chromium chromium-driver`), and axe-core from npm: `test.sh` fetches it.

#![allow(clippy::unwrap_used, reason = "a test binary, helpers included")]

#[path = "../bell/axe.rs"]
mod axe;
#[path = "../bell/host.rs"]
#[allow(dead_code, reason = "the bell's tests use the rest")]
mod host;
#[path = "../bell/weather.rs"]
#[allow(dead_code, reason = "the bell's tests use the rest")]
mod weather;
mod stage;
mod plain;
mod saved;
mod refused;
mod keyboard;
mod screens;
mod example;
