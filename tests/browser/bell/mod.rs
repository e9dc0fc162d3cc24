//! `<campanile-bell>` on a page of a host's with a strict policy.

mod stage;
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
