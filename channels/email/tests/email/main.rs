//! The email channel, from a dispatch to the wire.
//!
//! | module | what it holds |
//! |---|---|
//! | `settings` | what is missing or wrong is said at start-up, both ways of giving it |
//! | `channel` | a dispatch over the channel: one verdict for each recipient, the suppression list, bounces, repeats |
//! | `suppression` | the list itself |
//! | `capture` | mails in memory and in a folder |
//! | `smtp` | the SMTP mailer against a real server process |
//! | `resend` | the Resend mailer against a scripted HTTP server: one mail, and what each answer means |
//! | `resend_batches` | which mails share a request, and what a lost answer leads to |
//! | `secrets` | no key, password or address in a log, an error, a `Debug` or the database |

#![allow(clippy::unwrap_used, reason = "the whole binary is tests")]

mod app;
mod capture;
mod channel;
mod resend;
mod resend_batches;
mod secrets;
mod settings;
mod smtp;
mod smtp_server;
mod suppression;
mod wire;
