//! The **address book** knows the addresses of each user on a channel.
//!
//! By default that is the table `notification_addresses`; a host that keeps addresses elsewhere implements its own lookup.

use std::collections::HashMap;

use async_trait::async_trait;

/// Looks up the addresses of users. Called once per dispatch and channel, for all recipients at once.
///
/// Each look-up runs on its own thread, for at most half of [`Builder::attempt_timeout`](crate::Builder::attempt_timeout), and at
/// most eight of a channel run at once. One that fails, panics, hangs or blocks its thread uses no attempt: the deliveries wait
/// and are retried, for as long as [`Policy::outage`](crate::channel::policy::Policy::outage) says. Other channels are not
/// delayed.
#[async_trait]
pub trait AddressBook: Send + Sync + 'static {
    /// The addresses of each of these users on a channel, the preferred one first. Users without an address may be left out.
    ///
    /// # Errors
    ///
    /// Any failure of the lookup; the deliveries are retried later.
    async fn addresses(
        &self,
        channel: &str,
        users: &[String],
    ) -> Result<HashMap<String, Vec<String>>, AddressError>;

    /// A channel learned that an address is dead: a push token the provider no longer knows. Does nothing by default.
    ///
    /// # Errors
    ///
    /// Any failure of the change; it is logged.
    async fn forget(&self, channel: &str, user: &str, address: &str) -> Result<(), AddressError> {
        let _ = (channel, user, address);
        Ok(())
    }
}

/// Why an address book did not answer.
#[derive(Debug, thiserror::Error)]
#[error("the address book did not answer")]
pub struct AddressError(#[source] Box<dyn std::error::Error + Send + Sync>);

impl AddressError {
    /// Wraps the cause.
    pub fn new(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}
