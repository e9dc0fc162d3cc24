//! A **thread** of its own for code that is not ours: it may panic, hang or block, and takes nobody else with it.
//!
//! Nobody waits for such a thread to end, neither the runtime that ends nor the process. (Tokio's own threads for blocking work
//! would be waited for, without a limit.)

use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    /// The work panicked.
    Panicked,
    /// The operating system gave no thread: nothing was begun.
    NoThread(std::io::Error),
}

/// Runs `work` on a thread of its own, inside the caller's runtime, and waits for its answer. The thread goes on if the caller
/// does not wait any more; what is in `held` is dropped when the work has really ended, before the answer is given.
///
/// A thread costs about 20 microseconds: little beside a call of the network.
pub(crate) async fn on_own_thread<T: Send + 'static>(
    held: impl Send + 'static,
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, NoAnswer> {
    let runtime = Handle::current();
    let (answer, answered) = oneshot::channel();
    let thread = std::thread::Builder::new().name("campanile-call".to_owned());
    // It is never joined. If it panics it drops `answer`.
    thread
        .spawn(move || {
            let result = runtime.block_on(work);
            drop(held);
            // Nobody may be waiting any more.
            let _ = answer.send(result);
        })
        .map_err(NoAnswer::NoThread)?;
    answered.await.map_err(|_| NoAnswer::Panicked)
}
