//! The **watcher** polls every open inbox for changes, as long as one is open.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use campanile_inbox::{Changes, Inbox, InboxError, News, Watch};
use rand::RngExt as _;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use crate::counts::{CAP, Counts};
use crate::live::hub::{Hub, View};
use crate::live::message::Message;

/// The minimum time between two polls: at most twenty a second, however much is committed.
const MIN_PAUSE: Duration = Duration::from_millis(50);

/// The pause is also at least this many times as long as the poll took. While a writing transaction stays open, every poll on
/// Postgres reads again all changes since it began.
const SHARE: u32 = 4;

/// The first and the maximum pause before a failed poll is retried.
const RETRY: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];

/// Ends every connection when the watcher ends, for whatever reason.
struct Ending<'h>(Option<&'h Hub>);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if let Some(hub) = self.0 {
            hub.close();
        }
    }
}

/// Polls until there are no connections any more, the app stops, or the router is dropped. `begun` becomes true once changes are
/// found from then on; it is dropped if the watcher cannot begin.
pub(super) async fn run(hub: Arc<Hub>, begun: watch::Sender<bool>) {
    let mut ending = Ending(Some(&hub));
    tokio::select! {
        biased;
        () = hub.options.shutdown.clone() => {}
        () = hub.gone.notified() => {}
        watched = watch(&hub, begun) => match watched {
            // A new connection starts its own watcher.
            Ok(()) => ending.0 = None,
            Err(error) => warn(&error, "live connections were closed: the inboxes could not be polled"),
        }
    }
}

async fn watch(hub: &Hub, begun: watch::Sender<bool>) -> Result<(), InboxError> {
    let mut commits = hub.dispatcher.commits();
    let mut watch = Watch::begin(hub.dispatcher.database()).await?;
    begun.send_replace(true);
    let mut elsewhere = pin!(hub.dispatcher.listen_for_commits());
    let mut failures = 0;
    let mut due = Instant::now() + pause(hub.options.poll_interval, failures);
    loop {
        tokio::select! {
            () = hub.left.notified() => {
                if hub.is_empty() {
                    return Ok(());
                }
                continue;
            }
            // It is ready when another process has committed, and can be polled again.
            () = &mut elsewhere => {}
            // After a failure a commit does not shorten the pause.
            Some(()) = commits.next(), if failures == 0 => {}
            () = sleep_until(due) => {}
        }
        let start = Instant::now();
        let mut pause_after = MIN_PAUSE;
        match look(hub, &mut watch).await {
            Ok(()) => {
                failures = 0;
                pause_after = pause_after.max(start.elapsed() * SHARE);
            }
            Err(error) => {
                failures += 1;
                warn(
                    &error,
                    "the inboxes could not be polled for changes; the poll is retried",
                );
            }
        }
        due = Instant::now() + pause(hub.options.poll_interval, failures);
        sleep(pause_after).await;
    }
}

/// The pause before the next poll, give or take a quarter, so that processes that began together do not poll together.
fn pause(poll_interval: Duration, failures: u32) -> Duration {
    let [first, max] = RETRY;
    let pause = match failures {
        0 => poll_interval,
        _ => (poll_interval.min(first) * (1 << failures.min(16))).min(max),
    };
    rand::rng().random_range(pause * 3 / 4..=pause * 5 / 4)
}

/// Sends what changed since the last poll to every connection. After an error the next poll finds it.
async fn look(hub: &Hub, watch: &mut Watch) -> Result<(), InboxError> {
    let views = hub.views();
    let inboxes: Vec<_> = views.iter().map(|view| &view.inbox).collect();
    let found = watch.look(&inboxes).await?;
    hub.reset_the_late();
    let Changes::News(news) = found else {
        for view in &views {
            view.tell(Message::reset());
        }
        return Ok(());
    };
    let mut changed = Vec::new();
    for (view, news) in views.iter().zip(news) {
        if !news.is_empty() {
            tell(view, news);
            changed.push(&**view);
        }
    }
    if !changed.is_empty() {
        tell_counts(hub, &changed).await;
    }
    Ok(())
}

fn tell(view: &View, news: News) {
    if news.many {
        view.tell(Message::reset());
    }
    for item in news.created {
        view.tell(Message::created(&item));
    }
    for item in news.updated {
        view.tell(Message::updated(&item));
    }
}

async fn tell_counts(hub: &Hub, views: &[&View]) {
    let inboxes: Vec<_> = views.iter().map(|view| &view.inbox).collect();
    match Inbox::counts_of_each(hub.dispatcher.database(), &inboxes, CAP).await {
        Ok(counts) => {
            for (view, counts) in views.iter().zip(counts) {
                view.tell(Message::counts(&Counts::from(counts)));
            }
        }
        Err(error) => {
            warn(
                &error,
                "the counts could not be read; clients get a reset and read them again",
            );
            for view in views {
                view.tell(Message::reset());
            }
        }
    }
}

fn warn(error: &InboxError, what: &str) {
    tracing::warn!(target: "campanile", error = error as &dyn std::error::Error, "{what}");
}
