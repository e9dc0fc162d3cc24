//! A **remote** channel of this process: the channel, its policy, and the state that its calls share.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{Notify, Semaphore};

use crate::channel::Channel;
use crate::channel::policy::Policy;
use crate::deliver::bulkhead::Bulkhead;

/// The remote channels, by name.
pub(crate) type Remotes = BTreeMap<&'static str, Remote>;

/// A remote channel, with the limits of its deliveries.
pub(crate) struct Remote {
    pub(crate) channel: Arc<dyn Channel>,
    pub(crate) policy: Policy,
    pub(crate) bulkhead: Bulkhead,
    /// Wakes one of the tasks that work on it.
    pub(crate) wake: Notify,
    /// Limits the concurrent look-ups of its addresses.
    pub(crate) look_ups: Arc<Semaphore>,
}

impl Remote {
    /// How many of up to this many deliveries are worth claiming now.
    pub(crate) fn room(&self, at_most: usize) -> usize {
        self.bulkhead.room(at_most, self.channel.max_batch().max(1))
    }
}
