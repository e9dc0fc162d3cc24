//! The inspector in one command: `cargo run -p campanile-inspector`.

mod options;

use std::error::Error;
use std::io::{IsTerminal as _, stderr};
use std::process::ExitCode;
use std::time::Duration;

use campanile::{Database, each_database};
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
    match run(&Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("campanile inspector: {}", with_causes(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let address = options.address()?;
    let database = Database::connect(&options.database)
        .await
        .map_err(StartError::from)?;
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
    // SQLite writes its log back into the file with the last connection.
    let closed = async { each_database!(&database, |pool| pool.close().await) };
    let _ = timeout(CLOSING, closed).await;
    Ok(())
}

#[allow(
    clippy::print_stdout,
    reason = "where it listens is what the command prints"
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

/// Ready at Ctrl-C, and where there are signals at SIGTERM.
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
