//! The settings page, with JavaScript and without; and the example, with its bell.

mod stage;
mod plain;
mod saved;
mod refused;
mod keyboard;
mod screens;
mod example;
