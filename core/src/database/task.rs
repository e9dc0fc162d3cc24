//! Runs work in a **task** of its own, so that it does not stop half-way when its caller is dropped.

use tracing::Instrument as _;

use crate::database::error::StoreError;

/// Runs the work to its end, whether or not the caller still waits. A panic is passed on to the caller.
///
/// # Errors
///
/// When the runtime shuts down before the work has ended.
pub(crate) async fn run_to_end<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::spawn(work.in_current_span()).await {
        Ok(result) => Ok(result),
        Err(stopped) if stopped.is_panic() => std::panic::resume_unwind(stopped.into_panic()),
        Err(_) => Err(StoreError::interrupted()),
    }
}
