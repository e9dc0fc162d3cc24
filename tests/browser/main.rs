//! Tests in a browser: the inspector's page, `<campanile-bell>` on a host's page, the settings page, the example.
//!
//! Needs Chromium and its driver (`apt-get install -y chromium chromium-driver`), and axe-core from npm: `test.sh` fetches it.

#![allow(clippy::unwrap_used, reason = "a test binary, helpers included")]

mod host;
mod weather;
mod axe;
mod page;
mod tour;
mod bell;
mod settings;
