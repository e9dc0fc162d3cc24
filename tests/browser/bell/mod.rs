//! `<campanile-bell>` on a host's page with a strict Content-Security-Policy.

mod stage;
mod states;
mod mouse;
mod keyboard;
mod announced;
mod tabs;
mod restart;
mod hostile;
mod screens;
mod texts;
mod headless;
