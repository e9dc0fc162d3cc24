//! A separate **thread** for code that is not ours: it may panic, hang or block without affecting anything else.
//!
//! Nothing waits for such a thread to end, neither a runtime that shuts down nor a process that exits. (Both would wait for
//! Tokio's own threads for blocking work, without a limit.)

use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use uuid::Uuid;

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    /// The work panicked.
    Panicked,
    /// The operating system could not create a thread: nothing was started.
    NoThread(std::io::Error),
}

/// Runs `work` on its own thread, inside the caller's runtime, and waits for its answer. The thread continues if the caller stops
/// waiting; `held` is dropped when the work has really ended, before the answer is returned.
pub(crate) async fn on_own_thread<T: Send + 'static>(
    held: impl Send + 'static,
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, NoAnswer> {
    let runtime = Handle::current();
    let (answer, answered) = oneshot::channel();
    // If it panics, `answer` is dropped.
    let job = Box::new(move || {
        let result = runtime.block_on(work);
        drop(held);
        // The caller may have stopped waiting.
        let _ = answer.send(result);
    });
    run(job).map_err(NoAnswer::NoThread)?;
    answered.await.map_err(|_| NoAnswer::Panicked)
}

type Job = Box<dyn FnOnce() + Send>;

/// How long a thread waits for another job before it ends.
const IDLE_FOR: Duration = Duration::from_secs(10);

/// The threads that wait for a job; the one that started to wait last is at the end.
static IDLE: Mutex<Vec<(Uuid, Sender<Job>)>> = Mutex::new(Vec::new());

fn idle() -> MutexGuard<'static, Vec<(Uuid, Sender<Job>)>> {
    IDLE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gives a job to a waiting thread, or to a new one.
fn run(mut job: Job) -> std::io::Result<()> {
    loop {
        let Some((_, thread)) = idle().pop() else {
            break;
        };
        match thread.send(job) {
            Ok(()) => return Ok(()),
            Err(unsent) => job = unsent.0,
        }
    }
    let thread = std::thread::Builder::new().name("campanile-call".to_owned());
    // It is never joined.
    thread.spawn(move || work(job)).map(drop)
}

/// Runs one job after the other, until none arrives for a while or one panics.
fn work(first: Job) {
    let (id, (give, jobs)) = (Uuid::now_v7(), mpsc::channel());
    let mut job = Some(first);
    while let Some(next) = job {
        next();
        idle().push((id, give.clone()));
        job = wait(id, &jobs);
    }
}

fn wait(id: Uuid, jobs: &Receiver<Job>) -> Option<Job> {
    if let Ok(job) = jobs.recv_timeout(IDLE_FOR) {
        return Some(job);
    }
    let mut idle = idle();
    let place = idle.iter().position(|(thread, _)| *thread == id);
    if let Some(place) = place {
        idle.remove(place);
        return None;
    }
    // Another caller has just taken this thread, and is about to send.
    drop(idle);
    jobs.recv().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_reported_and_later_work_still_runs() {
        for round in 0..3 {
            let panicked = on_own_thread((), async { panic!("on purpose") });
            let panicked: Result<(), _> = panicked.await;
            assert!(matches!(panicked, Err(NoAnswer::Panicked)));
            let worked = on_own_thread((), async move { round }).await;
            assert_eq!(worked.unwrap(), round);
        }
    }

    #[tokio::test]
    async fn blocking_work_does_not_delay_other_work() {
        let (open, door) = mpsc::channel::<()>();
        let blocked = tokio::spawn(on_own_thread((), async move { door.recv().is_err() }));
        for round in 0..20 {
            assert_eq!(
                on_own_thread((), async move { round }).await.unwrap(),
                round
            );
        }
        drop(open);
        assert!(blocked.await.unwrap().unwrap());
    }
}
