//! The **courier** carries out, in the background, what is due: queued deliveries, and retries after an outage.

use std::time::Duration;

use campanile::Dispatcher;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

/// How often it looks.
const ROUND: Duration = Duration::from_secs(1);

/// How much it takes at a time.
const AT_MOST: usize = 100;

/// Delivers what is due, again and again, until it is told to stop or nobody is left who could.
pub(crate) async fn deliver_until(dispatcher: Dispatcher, mut stop: watch::Receiver<()>) {
    let mut rounds = interval(ROUND);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = stop.changed() => return,
            _ = rounds.tick() => {}
        }
        if let Err(error) = dispatcher.deliver_due(AT_MOST).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "what is due was not delivered; the next round tries again"
            );
        }
    }
}
