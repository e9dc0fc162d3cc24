//! The API as a script sees it, one file for each topic.

#![allow(clippy::unwrap_used, reason = "a test binary, helpers included")]

mod tour;
mod events;
mod dispatch;
mod bodies;
mod people;
mod ledger;
mod outages;
mod page;
mod access;
mod start;
mod operations;
