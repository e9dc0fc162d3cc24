//! **Deliver**: one delivery from its claim to the record of its outcome. The only room that calls a channel.
//!
//! A [`worker`](worker) or a call of `deliver_due` [polls](poll) a channel, and a dispatch makes the [first](first) attempt. Both
//! run a [round](round), whose steps are in the other files. There are no circular imports between files.

pub(crate) mod worker;
pub(crate) mod poll;
pub(crate) mod first;
pub(crate) mod round;
pub(crate) mod claim;
pub(crate) mod left_alone;
pub(crate) mod lease;
pub(crate) mod recipients;
pub(crate) mod batch;
pub(crate) mod call;
pub(crate) mod last_look;
pub(crate) mod bulkhead;
pub(crate) mod brake;
pub(crate) mod thread;
pub(crate) mod transition;
pub(crate) mod record;
pub(crate) mod terms;
pub(crate) mod pause;
pub(crate) mod remote;
pub(crate) mod maintenance;
pub(crate) mod prune;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use uuid::Uuid;

use crate::channel::address::AddressBook;
use crate::channel::policy::Policy;
use crate::database::Database;
use crate::database::wake::Signal;
use crate::deliver::left_alone::LeftAlone;
use crate::deliver::prune::PruneStatements;
use crate::deliver::remote::Remotes;
use crate::event::Weight;
use crate::limits::Limits;
use crate::plan::registry::Registry;

/// Everything that a process needs to deliver.
pub(crate) struct Deliverer {
    pub(crate) database: Database,
    pub(crate) registry: Arc<Registry>,
    pub(crate) channels: Arc<Remotes>,
    pub(crate) address_book: Arc<dyn AddressBook>,
    pub(crate) limits: Limits,
    /// The id of this process, in leases and in the delivery log.
    pub(crate) worker: Uuid,
    /// The deliveries that this process does not claim for a while.
    pub(crate) left_alone: LeftAlone,
    /// How many workers run over this dispatcher. Other processes see them as one, because they share an id.
    pub(crate) running: AtomicUsize,
    /// Wakes workers.
    pub(crate) queued: Arc<Signal>,
    /// The statements that delete items from the local channels' own tables.
    pub(crate) prune_statements: PruneStatements,
}

impl Deliverer {
    pub(crate) fn policy(&self, channel: &str) -> &Policy {
        &self.channels[channel].policy
    }

    /// How long one call of a channel may take.
    pub(crate) fn call_timeout(&self, channel: &str) -> Duration {
        let own = self.policy(channel).attempt_timeout;
        own.unwrap_or(self.limits.attempt_timeout)
    }

    /// Whether a call of a channel may take longer than its caller waits for it.
    pub(crate) fn has_long_calls(&self, channel: &str) -> bool {
        self.call_timeout(channel) > self.limits.attempt_timeout
    }

    /// Whether preferences apply to a channel of an event.
    pub(crate) fn weight(&self, event_type: &str, channel: &str) -> Weight {
        let event = self.registry.event(event_type);
        event.map_or(Weight::Critical, |event| event.weight(channel))
    }
}
