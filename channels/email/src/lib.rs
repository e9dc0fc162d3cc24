//! The **email** channel: a delivery becomes a mail, is checked against the suppression list, and is sent by one mailer.
//!
//! Linking this crate registers the channel `email`: `use campanile_email as _;`. Its settings are given in code
//! ([`EmailSettings`]) or in environment variables (the README has the table); a missing one is an error at start-up.
//!
//! It resolves no address, reads no preference and does not retry: it reports the result of one attempt.

mod settings;
mod mailbox;
mod mail;
mod body;
mod mime;
mod compose;
mod channel;
mod bounces;
mod warned;
mod suppression;
mod mailer;
mod capture;
#[cfg(any(feature = "smtp", feature = "resend"))]
mod redact;
#[cfg(any(feature = "smtp", feature = "resend"))]
mod local;
#[cfg(feature = "smtp")]
mod smtp;
#[cfg(feature = "resend")]
mod resend;

use campanile::channel::Transport;

#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod promises;

pub use campanile::channel::EMAIL;
pub use secrecy::SecretString;

pub use crate::capture::{Capture, CapturedMail};
pub use crate::mail::Mail;
pub use crate::mailbox::{InvalidMailbox, Mailbox};
pub use crate::mailer::{Answer, Capabilities, Mailer};
#[cfg(feature = "resend")]
pub use crate::resend::Resend;
pub use crate::settings::EmailSettings;
#[cfg(feature = "smtp")]
pub use crate::smtp::Smtp;
pub use crate::suppression::{
    Suppression, SuppressionError, SuppressionFilter, SuppressionKind, Suppressions,
};

/// Runs the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

campanile::register_channel!(EMAIL, Transport::Remote(channel::build));
