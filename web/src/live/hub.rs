//! The **hub**: who is connected, and the way from the watcher to them.

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

/// How many messages wait for a connection that does not take them. When there are more, the oldest ones are given up, and the
/// connection is told that it missed something: nobody waits for it.
const BUFFER: usize = 32;

pub(super) struct Hub {
    pub(super) dispatcher: Dispatcher,
    pub(super) options: Options,
    audience: Mutex<Audience>,
    /// Somebody has left.
    pub(super) left: Notify,
    /// The router is gone.
    pub(super) gone: Notify,
}

/// Who is connected, by user.
#[derive(Default)]
struct Audience {
    users: HashMap<String, Vec<Arc<View>>>,
    /// Whether the watcher has begun; `None` while there is none.
    begun: Option<watch::Receiver<bool>>,
}

/// A part of an inbox that somebody has open.
pub(super) struct View {
    pub(super) inbox: Inbox,
    org: Option<String>,
    messages: broadcast::Sender<Message>,
    /// Whether it was in no look yet.
    is_late: AtomicBool,
}

/// A place in the audience.
pub(crate) struct Seat {
    messages: broadcast::Receiver<Message>,
    begun: watch::Receiver<bool>,
    /// Dropped after the receiver, so that who looks then finds the seat empty.
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

    /// Takes a seat before a part of a user's inbox. The first one begins the watcher, which tells when it has begun.
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
        if connections >= self.options.most_of_one_user {
            // A connection that broke off is noticed with the next heartbeat.
            let seconds = self.options.heartbeat.as_secs().max(1);
            return Err(Problem::new(
                TOO_MANY_CONNECTIONS,
                "close a tab, or share one connection between them",
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
        // An error means that everybody has left.
        let _ = self.messages.send(message);
    }
}

impl Seat {
    /// Waits until whatever happens is being looked at. What the database says after that is the beginning of the story.
    pub(crate) async fn begun(&mut self) -> Result<(), Problem> {
        let begun = self.begun.wait_for(|begun| *begun).await;
        begun.map(drop).map_err(|_| {
            Problem::new(
                UNAVAILABLE,
                "the app is stopping, or its database is not there; try again in a moment",
            )
            .after(1)
        })
    }

    /// What happens, until the watcher ends.
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

    /// Every view that is open, to be looked at.
    pub(super) fn views(&self) -> Vec<Arc<View>> {
        let audience = self.audience();
        let views: Vec<_> = audience.users.values().flatten().cloned().collect();
        for view in &views {
            view.is_late.store(false, Ordering::Relaxed);
        }
        views
    }

    /// Tells the views that were opened during a look that they may have missed something: it was not for them, and the next
    /// one begins where it ended.
    pub(super) fn reset_the_late(&self) {
        for view in self.audience().users.values().flatten() {
            if view.is_late.load(Ordering::Relaxed) {
                view.tell(Message::reset());
            }
        }
    }

    /// Forgets the views that nobody has open any more. `true` if there is none left; then there is no watcher any more.
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
    async fn who_joins_during_a_look_is_told_to_read_again_and_nobody_else() {
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
