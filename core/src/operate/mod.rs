//! **Operate**: what an operator sees and changes. No other room imports it.

pub(crate) mod deliveries;
pub(crate) mod pauses;
pub(crate) mod fleet;
pub(crate) mod addresses;
pub(crate) mod preferences;
mod prune;
pub(crate) mod forget;

use std::sync::Arc;

use crate::channel::erasure::ErasureKey;
use crate::database::{Database, Statement};
use crate::deliver::Deliverer;

pub use self::addresses::{AddressTable, AddressTableError};
pub use self::deliveries::{
    Attempt, DeadFilter, DeliveryChangeError, DeliveryCount, DeliveryFilter, DeliveryHistory,
    DeliveryState, DeliverySummary, MAX_LIST,
};
pub use self::fleet::WorkerStatus;
pub use self::forget::{ForgetError, Forgotten};
pub use self::pauses::{ChannelStatus, Pause, PauseError, WorkerPause};
pub use crate::deliver::prune::{Pruned, Retention};

/// What an operator sees and changes: deliveries and their history, channels, workers, pruning and erasure. See
/// [`Dispatcher::operations`](crate::Dispatcher::operations). Cheap to clone.
#[derive(Clone)]
pub struct Operations {
    pub(crate) deliverer: Arc<Deliverer>,
    /// The statements that erase a user from the channels' own tables.
    pub(crate) forget_statements: Arc<[&'static Statement]>,
    /// The key under which hashes of erased addresses are kept.
    pub(crate) erasure_key: Option<ErasureKey>,
}

impl std::fmt::Debug for Operations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Operations(..)")
    }
}

impl Operations {
    fn database(&self) -> &Database {
        &self.deliverer.database
    }
}
