//! The **hub**: the open connections, and how the watcher reaches them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use campanile::Dispatcher;
use campanile_inbox::Inbox;
use futures_util::{Stream, stream};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, broadcast, watch};

use crate::live::message::Message;
use crate::live::options::Options;
use crate::problem::{Problem, TOO_MANY_CONNECTIONS, UNAVAILABLE};

/// How many messages are kept for a slow connection. When there are more, the oldest ones are dropped, and the connection gets a
/// `reset`: the watcher never waits for a connection.
const BUFFER: usize = 32;

pub(super) struct Hub {
    pub(super) dispatcher: Dispatcher,
    pub(super) options: Options,
    audience: Mutex<Audience>,
    /// Notified when a connection has ended.
    pub(super) left: Notify,
    /// Notified when the router was dropped.
    pub(super) gone: Notify,
}

/// Who is connected, by user.
#[derive(Default)]
struct Audience {
    users: HashMap<String, Vec<Arc<View>>>,
    /// Whether the watcher has begun; `None` while there is none.
    begun: Option<watch::Receiver<bool>>,
}

/// A part of an inbox with at least one connection.
pub(super) struct View {
    pub(super) inbox: Inbox,
    org: Option<String>,
    messages: broadcast::Sender<Message>,
    /// Whether it has not been part of a poll yet.
    is_late: AtomicBool,
}

/// One connection of the audience.
pub(crate) struct Seat {
    messages: broadcast::Receiver<Message>,
    begun: watch::Receiver<bool>,
    /// Dropped after the receiver, so that the connection is not counted any more when `left` is notified.
    _leave: Leave,
}

struct Leave(Arc<Hub>);

impl Drop for Leave {
    fn drop(&mut self) {
        self.0.left.notify_one();
    }
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Hub {
    pub(super) fn new(dispatcher: Dispatcher, options: Options) -> Self {
        Self {
            dispatcher,
            options,
            audience: Mutex::default(),
            left: Notify::new(),
            gone: Notify::new(),
        }
    }

    /// Connects to a part of a user's inbox. The first connection starts the watcher, whose receiver says when it has begun.
    pub(super) fn seat(
        self: &Arc<Self>,
        user: &str,
        org: Option<&str>,
        inbox: Inbox,
        begin: impl FnOnce() -> watch::Receiver<bool>,
    ) -> Result<Seat, Problem> {
        let mut audience = self.audience();
        let views = audience.users.entry(user.to_owned()).or_default();
        let connections: usize = views.iter().map(|view| view.connections()).sum();
        if connections >= self.options.max_per_user {
            // A broken connection is noticed at the next heartbeat.
            let seconds = self.options.heartbeat.as_secs().max(1);
            return Err(Problem::new(
                TOO_MANY_CONNECTIONS,
                "close a tab, or let the tabs share one connection",
            )
            .after(seconds));
        }
        let open = views.iter().find(|view| view.org.as_deref() == org);
        let messages = if let Some(view) = open {
            view.messages.subscribe()
        } else {
            let (view, messages) = View::of(inbox, org);
            views.push(Arc::new(view));
            messages
        };
        let watching = audience.begun.get_or_insert_with(begin);
        Ok(Seat {
            messages,
            begun: watching.clone(),
            _leave: Leave(Arc::clone(self)),
        })
    }
}

impl View {
    fn of(inbox: Inbox, org: Option<&str>) -> (Self, broadcast::Receiver<Message>) {
        let (sender, receiver) = broadcast::channel(BUFFER);
        let view = Self {
            inbox,
            org: org.map(str::to_owned),
            messages: sender,
            is_late: AtomicBool::new(true),
        };
        (view, receiver)
    }

    fn connections(&self) -> usize {
        self.messages.receiver_count()
    }

    pub(super) fn tell(&self, message: Message) {
        // An error means that all connections have ended.
        let _ = self.messages.send(message);
    }
}

impl Seat {
    /// Waits until the watcher has begun. Whatever changes after that is sent as a message.
    pub(crate) async fn begun(&mut self) -> Result<(), Problem> {
        let begun = self.begun.wait_for(|begun| *begun).await;
        begun.map(drop).map_err(|_| {
            Problem::new(
                UNAVAILABLE,
                "the app is stopping, or its database does not answer; try again in a moment",
            )
            .after(1)
        })
    }

    /// The messages, until the watcher ends.
    pub(crate) fn messages(self) -> impl Stream<Item = Message> {
        stream::unfold(self, |mut seat| async move {
            let message = match seat.messages.recv().await {
                Ok(message) => message,
                Err(RecvError::Lagged(_)) => Message::reset(),
                Err(RecvError::Closed) => return None,
            };
            Some((message, seat))
        })
    }
}

impl Hub {
    fn audience(&self) -> MutexGuard<'_, Audience> {
        self.audience.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every open view, for a poll.
    pub(super) fn views(&self) -> Vec<Arc<View>> {
        let audience = self.audience();
        let views: Vec<_> = audience.users.values().flatten().cloned().collect();
        for view in &views {
            view.is_late.store(false, Ordering::Relaxed);
        }
        views
    }

    /// Sends a `reset` to the views that were opened during a poll, because they may have missed something: the poll did not
    /// include them, and the next one begins where it ended.
    pub(super) fn reset_the_late(&self) {
        for view in self.audience().users.values().flatten() {
            if view.is_late.load(Ordering::Relaxed) {
                view.tell(Message::reset());
            }
        }
    }

    /// Removes the views without a connection. Returns `true` if none is left; the watcher then ends.
    pub(super) fn is_empty(&self) -> bool {
        let mut audience = self.audience();
        audience.users.retain(|_, views| {
            views.retain(|view| view.connections() > 0);
            !views.is_empty()
        });
        let is_empty = audience.users.is_empty();
        if is_empty {
            audience.begun = None;
        }
        is_empty
    }

    /// Ends every connection.
    pub(super) fn close(&self) {
        *self.audience() = Audience::default();
    }
}

#[cfg(test)]
mod tests {
    use campanile::Database;

    use super::*;

    #[tokio::test]
    async fn only_a_view_opened_during_a_poll_gets_a_reset() {
        let database = Database::connect("sqlite::memory:").await.unwrap();
        let dispatcher = Dispatcher::builder().database(database.clone());
        let hub = Hub::new(dispatcher.build().unwrap(), Options::default());
        let hub = Arc::new(hub);
        let join = |user| {
            let inbox = Inbox::for_user(&database, user).unwrap();
            let begin = || watch::channel(true).1;
            hub.seat(user, None, inbox, begin).unwrap()
        };
        let mut early = join("u_ada");
        let looked_at = hub.views();
        let [mut same, mut late] = [join("u_ada"), join("u_bob")];
        hub.reset_the_late();
        assert_eq!(looked_at.len(), 1);
        let told = format!("{:?}", late.messages.try_recv().unwrap());
        assert!(told.contains("reset"), "{told}");
        for seat in [&mut early, &mut same, &mut late] {
            assert!(seat.messages.try_recv().is_err());
        }
        hub.views();
        hub.reset_the_late();
        assert!(late.messages.try_recv().is_err());
    }
}
