//! Everything that is served over HTTP, on both databases: the end user's side, its description, and the inspector's JSON.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod site;
mod cases;
mod routes;
mod feed;
mod marks;
mod counts;
mod listener;
mod live;
mod live_apart;
mod live_ends;
mod preferences;
mod settings;
mod round_trips;
mod assets;
mod hostile;
mod origins;
mod document;
mod schema;
mod inspector;
