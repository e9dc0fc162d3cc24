//! The **command line** for operations: what an operator of an app with campanile does from a shell.
//!
//! The registry of events and channels is linked into the host's binary, so the commands are too: the host embeds them in its own
//! command line, under its own names.
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use campanile::{Database, Dispatcher};
//! use clap::Parser as _;
//!
//! #[derive(clap::Parser)]
//! struct Cli {
//!     #[command(flatten)]
//!     output: campanile_cli::Output, // `--json`
//!     #[command(subcommand)]
//!     command: Command,
//! }
//!
//! #[derive(clap::Subcommand)]
//! enum Command {
//!     /// Answers requests
//!     Serve,
//!     #[command(flatten)] // `app doctor`; with `#[command(subcommand)]` it is `app campanile doctor`
//!     Campanile(campanile_cli::Command),
//! }
//!
//! # async fn serve(_: Dispatcher) -> Result<ExitCode, Box<dyn std::error::Error>> { Ok(ExitCode::SUCCESS) }
//! #[tokio::main]
//! async fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
//!     let cli = Cli::parse();
//!     let database = Database::connect("sqlite://app.db").await?;
//!     let dispatcher = Dispatcher::builder().database(database.clone()).build();
//!     match cli.command {
//!         // The app itself, which may start with `database.migrate()`.
//!         Command::Serve => serve(dispatcher?).await,
//!         // Pass the unchecked result: `doctor` and `migrate` also work if the dispatcher cannot be built.
//!         Command::Campanile(command) => Ok(command.run(&database, dispatcher, cli.output).await),
//!     }
//! }
//! ```
//!
//! | command | |
//! |---|---|
//! | `events` | every event that this binary can send |
//! | `migrate` | creates or updates campanile's tables |
//! | `worker` | delivers due deliveries until Ctrl-C or SIGTERM |
//! | `dispatch` | sends a notification: `--type org.invitation.sent --to u_1,u_2 --payload '{..}'`, or a JSON document on standard input with `-` |
//! | `deliveries list`, `show`, `retry`, `cancel` | remote deliveries, and the outcome of each attempt |
//! | `dead list`, `redrive` | deliveries that exhausted their attempts or can never succeed |
//! | `channels list`, `pause`, `resume` | linked channels and their pauses |
//! | `suppressions list`, `add`, `remove` | addresses that must not be mailed |
//! | `prune` | deletes rows past their retention |
//! | `forget` | erases a user, and reports what stays |
//! | `doctor` | checks the database, the channels and the workers; each finding says how to fix it |
//!
//! Exit codes: 0, the command succeeded; 1, it failed, or the doctor found a problem; 2, the command line is not valid. Answers
//! are written to standard output, for people or with `--json` as JSON; errors are written to standard error. Only `suppressions`
//! prints addresses, and no command prints the content of notifications. Control sequences and bidi controls in a text from the
//! database, which a terminal would interpret, are escaped, in JSON too.
//!
//! The feature `postgres` adds the doctor's checks that apply only to Postgres.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

mod command;
mod input;
mod events;
mod migrations;
mod worker;
mod dispatch;
mod deliveries;
mod timeline;
mod dead;
mod channels;
mod suppressions;
mod prune;
mod forget;
mod doctor;
mod table;
mod terminal;
mod output;
mod error;

pub use clap;

pub use crate::command::Command;
pub use crate::error::CommandError;
pub use crate::output::{Ended, Output};
