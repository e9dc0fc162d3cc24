//! A small host that embeds the command line of operations, as an app would.
//!
//! `campanile-app --database URL doctor`

use std::process::ExitCode;

use campanile::{Database, Dispatcher};
use campanile_tests::app::capture;
use clap::{Parser, Subcommand};

/// The app of the tests
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    /// Where the app keeps its data
    #[arg(long, global = true, default_value = "sqlite::memory:")]
    database: String,

    /// Leave out the settings of the email channel
    #[arg(long)]
    without_mail: bool,

    #[command(flatten)]
    output: campanile_cli::Output,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Says hello, as a command of the app itself
    Hello,
    #[command(flatten)]
    Campanile(campanile_cli::Command),
}

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let cli = Cli::parse();
    let Command::Campanile(command) = cli.command else {
        std::io::Write::write_all(&mut std::io::stdout(), b"hello\n")?;
        return Ok(ExitCode::SUCCESS);
    };
    let database = Database::connect(&cli.database).await?;
    let builder = Dispatcher::builder().database(database.clone());
    let dispatcher = if cli.without_mail {
        builder.build()
    } else {
        builder.with(capture().0).build()
    };
    Ok(command.run(&database, dispatcher, cli.output).await)
}
