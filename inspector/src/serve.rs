//! **Serves** the app until a shutdown signal, and stops everything it started.

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

/// How long running requests and deliveries may take to finish.
const GRACE: Duration = Duration::from_secs(5);

/// Answers requests and delivers what is due, until `shutdown` is ready. Live connections end then.
///
/// # Errors
///
/// When the listener fails.
///
/// # Cancel safety
///
/// If it is dropped before `shutdown`, the server stops at once and open requests are cut off; dispatches that have begun are
/// completed.
///
/// # Panics
///
/// If a task of the server panicked, which is a bug.
pub async fn serve(
    listener: TcpListener,
    inspector: Inspector,
    access: Access,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    // The holders of the receiver stop when the sender is dropped.
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
