//! The inspector in one command: `cargo run -p campanile-inspector`.

mod options;

use std::error::Error;
use std::io::{IsTerminal as _, stderr};
use std::process::ExitCode;
use std::time::Duration;

use campanile::{Database, Dispatcher, each_database};
use campanile_inspector::{Inspector, StartError, serve};
use clap::Parser as _;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tracing_subscriber::EnvFilter;

use crate::options::Options;

/// How long connections to the database may take to close.
const CLOSING: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal())
        .init();
    let mut options = Options::parse();
    let ended = match options.command.take() {
        None => open_page(&options).await,
        Some(command) => operate(&options, command).await,
    };
    match ended {
        Ok(exit) => exit,
        Err(error) => {
            eprintln!("campanile inspector: {}", with_causes(&*error));
            ExitCode::FAILURE
        }
    }
}

/// Serves the page until a shutdown signal.
async fn open_page(options: &Options) -> Result<ExitCode, Box<dyn Error>> {
    let address = options.address()?;
    let database = connect(options).await?;
    let inspector = Inspector::start(database.clone(), options.settings()).await?;
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| format!("cannot listen on {address}: {error}"))?;
    let access = options.access();
    announce(&format!(
        "campanile inspector: http://{}/{} on {}",
        listener.local_addr()?,
        access
            .token()
            .map(|token| format!("#token={token}"))
            .unwrap_or_default(),
        options::shown(&options.database),
    ));
    serve(listener, inspector, access, asked_to_stop()).await?;
    close(&database).await;
    Ok(ExitCode::SUCCESS)
}

/// Runs a command of operations, without a page.
async fn operate(
    options: &Options,
    command: campanile_cli::Command,
) -> Result<ExitCode, Box<dyn Error>> {
    let database = connect(options).await?;
    let settings = options.settings();
    let inspector = if options::is_in_memory(&options.database) {
        // A database in memory cannot have tables yet.
        Inspector::start(database.clone(), settings).await
    } else {
        Inspector::open(database.clone(), settings).await
    };
    let dispatcher = match inspector {
        Ok(inspector) => Ok(inspector.dispatcher().clone()),
        Err(StartError::Registry(problems)) => Err(problems),
        // The channel reports it, with everything else that is wrong, unless the environment names another sender.
        Err(StartError::Mail(error)) => {
            let plain = Dispatcher::builder().database(database.clone()).build();
            Err(plain.err().ok_or(StartError::Mail(error))?)
        }
        Err(error) => return Err(error.into()),
    };
    let exit = command.run(&database, dispatcher, options.output).await;
    close(&database).await;
    Ok(exit)
}

async fn connect(options: &Options) -> Result<Database, StartError> {
    Ok(Database::connect(&options.database).await?)
}

/// SQLite writes its log back into the file when the last connection closes.
async fn close(database: &Database) {
    let closed = async { each_database!(database, |pool| pool.close().await) };
    let _ = timeout(CLOSING, closed).await;
}

#[allow(
    clippy::print_stdout,
    reason = "the command prints the address it listens on"
)]
fn announce(line: &str) {
    println!("{line}");
}

fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Waits for Ctrl-C, or for SIGTERM where there are signals.
async fn asked_to_stop() {
    #[cfg(unix)]
    let terminated = async {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminated = std::future::pending::<()>();
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
}
