//! The **inspector** of campanile: fire events and watch every channel, in one command.
//!
//! The binary is `main.rs`; everything it serves is in this library, so that a test can start it in its own process.

pub mod events;
mod examples;
mod people;
mod outage;
mod mail;
mod guard;
mod inspector;
mod problem;
mod body;
mod api;
mod page;
mod anybody;
mod access;
mod app;
mod serve;

pub use crate::access::{Access, Reach};
pub use crate::app::app;
pub use crate::guard::ForeignRows;
pub use crate::inspector::{Inspector, Settings, StartError};
pub use crate::mail::MailSender;
pub use crate::serve::serve;
