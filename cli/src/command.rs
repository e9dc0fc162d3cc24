//! A **command**: which one was given, and what it needs from the host.

use std::io::Write;
use std::process::ExitCode;

use campanile::{Database, Dispatcher, RegistryError};
use clap::error::Error as UsageError;
use clap::{ArgMatches, FromArgMatches, Subcommand};

use crate::error::CommandError;
use crate::output::{Ended, Output, Printer};
use crate::terminal::escaped;
use crate::{
    channels, dead, deliveries, dispatch, doctor, events, forget, migrations, prune, suppressions,
    worker,
};

/// A parsed command for operations. The host's own command line embeds it with `#[command(flatten)]` or `#[command(subcommand)]`.
#[derive(Debug, Clone)]
pub struct Command {
    action: Box<Action>,
}

#[derive(Debug, Clone, Subcommand)]
enum Action {
    /// Every event that this binary can send
    Events,
    /// Creates or updates campanile's tables
    Migrate,
    /// Delivers due deliveries until Ctrl-C or SIGTERM
    Worker(worker::Arguments),
    /// Sends a notification
    ///
    /// The event is named by `--type` and its fields are given by `--payload`; or the whole request is a JSON document on
    /// standard input, with `-`: { "type", "recipientUserIds", "subjectId", "orgId", "payload", "dispatchId" }.
    Dispatch(dispatch::Arguments),
    /// Remote deliveries, and the outcome of each attempt
    #[command(subcommand)]
    Deliveries(deliveries::Action),
    /// Deliveries that exhausted their attempts or can never succeed
    #[command(subcommand)]
    Dead(dead::Action),
    /// Linked channels and their pauses
    #[command(subcommand)]
    Channels(channels::Action),
    /// Addresses that must not be mailed
    #[command(subcommand)]
    Suppressions(suppressions::Action),
    /// Deletes rows past their retention; a worker also does so every hour
    Prune(prune::Arguments),
    /// Erases a user: inbox, preferences, addresses, deliveries, windows
    ///
    /// It reports what is not erased: the content of dispatches that had other recipients too. It cannot erase data that
    /// campanile does not hold: the app's own tables, logs, backups, and data that providers received.
    Forget(forget::Arguments),
    /// Checks the database, the channels and the workers; each finding says how to fix it
    ///
    /// Exits with 1 if there is a problem. Warnings alone do not count as problems.
    Doctor(doctor::Arguments),
}

impl Command {
    /// Runs the command: the answer is written to standard output, errors to standard error.
    ///
    /// The dispatcher is passed as the result of its builder, so that `doctor`, `migrate` and `events` also work if it cannot be
    /// built. The tables need not exist.
    ///
    /// # Cancel safety
    ///
    /// As the call of the dispatcher behind the command.
    pub async fn run(
        self,
        database: &Database,
        dispatcher: Result<Dispatcher, RegistryError>,
        output: Output,
    ) -> ExitCode {
        let mut out = std::io::stdout();
        match self.write(database, dispatcher, output, &mut out).await {
            Ok(ended) => ended.into(),
            // The reader has closed the pipe, as `head` does.
            Err(error) if error.is_broken_pipe() => ExitCode::SUCCESS,
            Err(error) => {
                // If standard error is closed, there is nowhere to report it.
                let _ = writeln!(
                    std::io::stderr(),
                    "error: {}",
                    escaped(&error.with_causes())
                );
                ExitCode::FAILURE
            }
        }
    }

    /// As [`Command::run`], with the answer written to `out`.
    ///
    /// # Errors
    ///
    /// When the command failed: then nothing was written to `out`, except by a worker.
    pub async fn write(
        self,
        database: &Database,
        dispatcher: Result<Dispatcher, RegistryError>,
        output: Output,
        out: &mut (dyn Write + Send),
    ) -> Result<Ended, CommandError> {
        let mut printer = Printer::new(out, output);
        match self
            .action
            .perform(database, dispatcher, &mut printer)
            .await
        {
            Err(error) if error.is_of_the_store() => {
                // Most often the tables are missing, and then there is better advice than the database's error.
                let behind = migrations::state(database).await.ok();
                Err(match behind.and_then(|state| state.advice()) {
                    Some(advice) => CommandError::NotMigrated(advice),
                    None => error,
                })
            }
            ended => ended,
        }
    }
}

impl Action {
    async fn perform(
        self,
        database: &Database,
        dispatcher: Result<Dispatcher, RegistryError>,
        printer: &mut Printer<'_>,
    ) -> Result<Ended, CommandError> {
        let answer = match self {
            Self::Events => events::list(dispatcher)?,
            Self::Migrate => migrations::migrate(database).await?,
            Self::Doctor(arguments) => {
                doctor::examine(&arguments, database, dispatcher.as_ref()).await
            }
            Self::Worker(arguments) => {
                return worker::work(&arguments, dispatcher?, printer).await;
            }
            Self::Dispatch(arguments) => dispatch::dispatch(arguments, &dispatcher?).await?,
            Self::Deliveries(action) => deliveries::perform(action, &dispatcher?).await?,
            Self::Dead(action) => dead::perform(action, &dispatcher?).await?,
            Self::Channels(action) => channels::perform(action, &dispatcher?).await?,
            Self::Suppressions(action) => {
                let key = suppressions::erasure_key(dispatcher.as_ref());
                suppressions::perform(action, database, key.as_ref()).await?
            }
            Self::Prune(arguments) => prune::prune(&arguments, &dispatcher?).await?,
            Self::Forget(arguments) => forget::forget(&arguments, &dispatcher?).await?,
        };
        Ok(printer.answer(&answer)?)
    }
}

impl FromArgMatches for Command {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, UsageError> {
        let action = Box::new(Action::from_arg_matches(matches)?);
        Ok(Self { action })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), UsageError> {
        self.action.update_from_arg_matches(matches)
    }
}

impl Subcommand for Command {
    fn augment_subcommands(command: clap::Command) -> clap::Command {
        Action::augment_subcommands(command)
    }

    fn augment_subcommands_for_update(command: clap::Command) -> clap::Command {
        Action::augment_subcommands_for_update(command)
    }

    fn has_subcommand(name: &str) -> bool {
        Action::has_subcommand(name)
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct Flat {
        #[command(flatten)]
        _output: Output,
        #[command(subcommand)]
        _command: Command,
    }

    #[derive(Debug, Parser)]
    struct Nested {
        #[command(subcommand)]
        _command: Below,
    }

    #[derive(Debug, Subcommand)]
    enum Below {
        #[command(subcommand)]
        Campanile(Command),
    }

    #[test]
    fn the_commands_are_well_formed_flat_and_nested() {
        Flat::command().debug_assert();
        Nested::command().debug_assert();
    }

    #[test]
    fn the_json_option_may_be_before_or_after_the_command() {
        for line in [["app", "--json", "events"], ["app", "events", "--json"]] {
            assert!(Flat::try_parse_from(line).is_ok());
        }
        assert!(Nested::try_parse_from(["app", "campanile", "dead", "list"]).is_ok());
    }

    #[test]
    fn an_incomplete_command_is_refused() {
        for line in [
            "dispatch",
            "dispatch - --type a.b.c",
            "dispatch - --to u_1",
            "dispatch other",
            "dispatch --type a.b.c --explain --enqueue",
            "channels pause email",
            "deliveries show 7",
            "deliveries list --limit 0",
            "deliveries list --limit 1001",
            "deliveries list --state lost",
            "prune --deliveries 30",
            "forget",
            "forget u_1",
        ] {
            let line = ["app"].into_iter().chain(line.split(' '));
            let error = Flat::try_parse_from(line).unwrap_err();
            assert_eq!(error.exit_code(), 2);
        }
    }
}
