//! The **worker** in its own process, until Ctrl-C or SIGTERM.

use std::io;
use std::time::Duration;

use campanile::{Dispatcher, StoreError, Worker};
use serde_json::json;
use tokio::sync::oneshot;

use crate::error::CommandError;
use crate::output::{Answer, Ended, Printer};
use crate::{input, prune};

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Arguments {
    /// How long it waits before the next poll when nothing was due
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = input::length_of_time)]
    poll_interval: Duration,

    /// How many tasks work on each channel concurrently
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    tasks: u16,

    /// Do not delete rows past their retention; leave it to other workers
    #[arg(long)]
    no_prune: bool,

    #[command(flatten, next_help_heading = "Rows that it deletes every hour")]
    prune: prune::Arguments,
}

/// Works until it is asked to stop, and then finishes running deliveries; asked twice, it stops at once.
pub(crate) async fn work(
    arguments: &Arguments,
    dispatcher: Dispatcher,
    printer: &mut Printer<'_>,
) -> Result<Ended, CommandError> {
    // Before anything is printed: a reader of the line may send a signal at once.
    let mut signals = Signals::listen()?;
    let channels = channels(&dispatcher).await?;
    let text = match &channels[..] {
        [] => "worker: no remote channel is linked; it waits for Ctrl-C or SIGTERM".to_owned(),
        channels => format!(
            "worker: delivers {} until Ctrl-C or SIGTERM",
            channels.join(", ")
        ),
    };
    let started = json!({ "worker": "started", "channels": channels });
    printer.step(&Answer::new(text, &started))?;

    let (tell, told) = oneshot::channel();
    let worker = Worker::new(dispatcher)
        .poll_interval(arguments.poll_interval)
        .tasks(arguments.tasks.into())
        .prune((!arguments.no_prune).then(|| arguments.prune.retention()))
        .run(async {
            let _ = told.await;
        });
    let watch = async {
        signals.asked_to_stop().await;
        let stopping = Answer::new(
            "worker: stopping; running deliveries have 20 seconds; a second signal stops it at once",
            &json!({ "worker": "stopping" }),
        );
        // The output may be closed; the deliveries still have to end.
        let _ = printer.step(&stopping);
        let _ = tell.send(());
        signals.asked_to_stop().await;
    };
    tokio::select! {
        () = worker => {}
        () = watch => return Err(CommandError::Hurried),
    }
    let stopped = json!({ "worker": "stopped" });
    printer.step(&Answer::new("worker: stopped", &stopped))?;
    Ok(Ended::Well)
}

/// The channels that it delivers. It waits for a database that does not answer yet, but not for one without tables.
async fn channels(dispatcher: &Dispatcher) -> Result<Vec<&'static str>, StoreError> {
    match dispatcher.operations().channels().await {
        Err(error) if !error.is_transient() => Err(error),
        _ => Ok(crate::channels::remote(dispatcher.registry())),
    }
}

/// Waits for the signal to stop: Ctrl-C, and on Unix also SIGTERM.
struct Signals {
    #[cfg(unix)]
    interrupted: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminated: tokio::signal::unix::Signal,
}

impl Signals {
    #[cfg(unix)]
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupted: signal(SignalKind::interrupt())?,
            terminated: signal(SignalKind::terminate())?,
        })
    }

    #[cfg(unix)]
    async fn asked_to_stop(&mut self) {
        tokio::select! {
            _ = self.interrupted.recv() => {}
            _ = self.terminated.recv() => {}
        }
    }

    #[cfg(not(unix))]
    #[allow(clippy::unnecessary_wraps, reason = "the variant for Unix can fail")]
    fn listen() -> io::Result<Self> {
        Ok(Self {})
    }

    #[cfg(not(unix))]
    async fn asked_to_stop(&mut self) {
        let _ = tokio::signal::ctrl_c().await;
    }
}
