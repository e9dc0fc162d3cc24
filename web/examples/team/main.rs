//! A small app that notifies its users: sign in by name, invite others, change their roles, and watch the bell.
//!
//! ```sh
//! cargo run -p campanile-web --example team
//! ```
//!
//! The code that adds campanile is in `notifications.rs` and in the two functions of `members.rs` that write.

#![allow(unreachable_pub, reason = "modules as an app writes them")]

mod notifications;
mod session;
mod members;
mod page;

use std::error::Error;
use std::io::Write as _;
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use campanile::sqlx::SqlitePool;
use campanile::sqlx::sqlite::SqlitePoolOptions;
use campanile::{Dispatcher, Worker};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tower_http::csrf::CsrfLayer;

use crate::session::Sessions;

/// How long running requests and deliveries may take to finish.
const GRACE: Duration = Duration::from_secs(5);

/// What every handler has.
#[derive(Clone)]
struct App {
    pool: SqlitePool,
    dispatcher: Dispatcher,
    sessions: Sessions,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // A database in memory lives in its only connection, and is gone when that closes.
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect("sqlite::memory:")
        .await?;
    members::create(&pool).await?;
    let dispatcher = notifications::dispatcher(pool.clone()).await?;
    let app = App {
        pool,
        dispatcher: dispatcher.clone(),
        sessions: Sessions::default(),
    };
    let port = std::env::var("PORT").unwrap_or_else(|_| "4800".to_owned());
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    writeln!(std::io::stdout(), "http://{}/", listener.local_addr()?)?;

    let (stop, stopping) = watch::channel(());
    let worker = tokio::spawn(Worker::new(dispatcher).run(closed(stopping.clone())));
    let router = router(app, stopping.clone());
    let server = axum::serve(listener, router).with_graceful_shutdown(closed(stopping));
    let server = tokio::spawn(server.into_future());
    stop_signal().await?;
    drop(stop);
    // Clients that have stopped reading are not waited for.
    let _ = tokio::time::timeout(GRACE, async { (server.await, worker.await) }).await;
    Ok(())
}

fn router(app: App, stopping: Stopping) -> Router {
    let notifications = notifications::routes(app.dispatcher.clone(), stopping);
    Router::new()
        .route("/", get(members::show))
        .route("/sign-in", post(session::sign_in))
        .route("/sign-out", post(session::sign_out))
        .route("/invite", post(members::invite))
        .route("/change-role", post(members::change_role))
        .route("/team.css", get(page::style))
        .nest("/notifications", notifications)
        .layer(CsrfLayer::new())
        .with_state(app)
}

/// Open until the app stops.
type Stopping = watch::Receiver<()>;

async fn closed(mut stopping: Stopping) {
    while stopping.changed().await.is_ok() {}
}

/// Waits for Ctrl-C, or for SIGTERM where there are signals.
async fn stop_signal() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        let kind = tokio::signal::unix::SignalKind::terminate();
        let mut terminate = tokio::signal::unix::signal(kind)?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}
