//! Who can be **reached** now: who has muted the channel since the dispatch is taken out, the others get their addresses.

use std::time::Duration;

use crate::delivery::{Delivery, DeliveryError, ErrorClass, Verdict};
use crate::dispatch::Inner;
use crate::error::StoreError;
use crate::preferences::{Weight, decide};
use crate::settlement::{Judged, Ruling};

impl Inner {
    /// Takes out the deliveries whose recipient has muted the channel since the dispatch.
    pub(crate) async fn take_muted(
        &self,
        channel: &'static str,
        deliveries: &mut Vec<Delivery>,
    ) -> Result<Vec<Judged>, StoreError> {
        if deliveries.is_empty() {
            return Ok(Vec::new());
        }
        let choices = self.choices_of(deliveries).await?;
        let muted = |delivery: &mut Delivery| {
            let event = self.registry.event(&delivery.event_type);
            let weight = event.map_or(Weight::Critical, |event| event.weight(channel));
            let choice = choices.of(&delivery.user_id, &delivery.category, channel);
            !decide(weight, choice).sends()
        };
        Ok(deliveries
            .extract_if(.., muted)
            .map(|delivery| Judged::new(delivery, Ruling::Muted))
            .collect())
    }

    /// Resolves the addresses; who has none is judged at once.
    pub(crate) async fn address(
        &self,
        channel: &str,
        mut deliveries: Vec<Delivery>,
    ) -> (Vec<Delivery>, Vec<Judged>) {
        let mut users: Vec<String> = deliveries.iter().map(|its| its.user_id.clone()).collect();
        users.sort_unstable();
        users.dedup();
        let looked_up = self.address_book.addresses(channel, &users);
        let patience = self.limits.attempt_timeout / 2;
        let book = match tokio::time::timeout(patience, looked_up).await {
            Ok(Ok(book)) => book,
            // The cause may hold an address; it stays with the book.
            Ok(Err(error)) => {
                let error = DeliveryError::new(error.to_string());
                let verdict = Verdict::retry(error.with_class(ErrorClass::Internal));
                return (Vec::new(), Judged::all(deliveries, &verdict, patience));
            }
            Err(_) => {
                let error = DeliveryError::new("the address book did not answer in time");
                let verdict = Verdict::retry(error.with_class(ErrorClass::Internal));
                return (Vec::new(), Judged::all(deliveries, &verdict, patience));
            }
        };
        for delivery in &mut deliveries {
            delivery.addresses = book.get(&delivery.user_id).cloned().unwrap_or_default();
        }
        let (reachable, unreachable): (Vec<_>, Vec<_>) = deliveries
            .into_iter()
            .partition(|its| !its.addresses.is_empty());
        let judged = Judged::all(unreachable, &Verdict::Unreachable, Duration::ZERO);
        (reachable, judged)
    }
}
