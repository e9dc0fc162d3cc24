//! The inspector in a process of its own: its events have the types of other events of the tests, so no test can link both.
//!
//! `campanile-tour URL [--token]` prints the URL of its page.

use std::error::Error;
use std::io::Write as _;

use campanile::Database;
use campanile_inspector::{Access, Inspector, Reach, Settings, serve};
use clap::Parser;
use tokio::net::TcpListener;

/// Serves the inspector until it is killed
#[derive(Debug, Parser)]
struct Options {
    /// Its database
    database: String,

    /// Every call needs a token, as where real mail can be sent
    #[arg(long)]
    token: bool,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let database = Database::connect(&options.database).await?;
    let inspector = Inspector::start(database, Settings::default()).await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let access = if options.token {
        Access::with_token(Reach::Loopback)
    } else {
        Access::open(Reach::Loopback)
    };
    let token = access.token().map(|token| format!("#token={token}"));
    let line = format!(
        "http://{}/{}\n",
        listener.local_addr()?,
        token.unwrap_or_default()
    );
    std::io::stdout().write_all(line.as_bytes())?;
    serve(listener, inspector, access, std::future::pending()).await?;
    Ok(())
}
