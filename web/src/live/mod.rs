//! **Live**: what happens in an inbox is told at once to whoever has it open, by Server-Sent Events.
//!
//! One watcher for all connections of a router looks for what is new, as long as there are any: when something was committed or
//! marked in this process, when another process says so (Postgres, [`WakeUp::Notify`](campanile::WakeUp)), and in any case
//! every poll interval. A look is one statement for all of them together, and one more for their counts if there is news.
//! That nothing falls between two looks is the promise of [`campanile_inbox::Watch`]; that nothing falls between a connection's
//! first look at the inbox and the watcher's next one is kept here: who joins while a look is under way is told to look again.
//!
//! It knows nothing of HTTP but what an event is.

mod options;
mod message;
mod hub;
mod watcher;

pub(crate) use self::hub::Live;
pub(crate) use self::message::Message;
pub(crate) use self::options::Options;
