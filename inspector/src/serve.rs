//! **Serves** the app until it is told to stop, and stops everything it started.

use std::future::Future;
use std::io;
use std::time::Duration;

use campanile::Worker;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::access::Access;
use crate::app::app;
use crate::inspector::Inspector;

/// How long requests and deliveries that are under way may take to end.
const GRACE: Duration = Duration::from_secs(5);

/// Answers requests and delivers what is due, until `shutdown` is ready. Live connections end then.
///
/// # Errors
///
/// When the listener fails.
///
/// # Cancel safety
///
/// Dropped before `shutdown`, the server stops at once and open requests are cut off; dispatches that were begun are
/// written to their end.
///
/// # Panics
///
/// If a task of the server panicked, which is a mistake of ours.
pub async fn serve(
    listener: TcpListener,
    inspector: Inspector,
    access: Access,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    // Whoever holds the receiver stops when the sender is gone.
    let (running, stop) = watch::channel(());
    let stopped = |mut stop: watch::Receiver<()>| async move {
        let _ = stop.changed().await;
    };
    let worker = Worker::new(inspector.dispatcher().clone()).run(stopped(stop.clone()));
    let app = app(inspector, access, stopped(stop.clone()));
    let server = axum::serve(listener, app).with_graceful_shutdown(stopped(stop));
    let work = async { tokio::join!(server.into_future(), worker) };
    tokio::pin!(work);
    tokio::select! {
        (ended, ()) = &mut work => return ended,
        () = shutdown => drop(running),
    }
    match timeout(GRACE, work).await {
        Ok((ended, ())) => ended,
        Err(_) => Ok(()),
    }
}
