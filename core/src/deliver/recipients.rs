//! Who can be **reached** now: who has muted the channel since the dispatch is taken out, the others get their addresses.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::Instrument as _;

use crate::channel::delivery::{Delivery, DeliveryError, ErrorClass, Verdict};
use crate::database::each_connection;
use crate::database::error::StoreError;
use crate::deliver::Deliverer;
use crate::deliver::thread::{NoAnswer, on_own_thread};
use crate::deliver::transition::{Judged, Ruling};
use crate::event::Weight;
use crate::plan::preference::{Choices, decide};
use crate::store::Store as _;

impl Deliverer {
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
            let weight = self.weight(&delivery.event_type, channel);
            let choice = choices.of(&delivery.user_id, &delivery.category, channel);
            !decide(weight, choice).sends()
        };
        Ok(deliveries
            .extract_if(.., muted)
            .map(|delivery| Judged::new(delivery, Ruling::Muted))
            .collect())
    }

    /// The present preferences of these deliveries' recipients, in one query.
    async fn choices_of(&self, deliveries: &[Delivery]) -> Result<Choices, StoreError> {
        let categories: BTreeSet<_> = deliveries
            .iter()
            .map(|delivery| delivery.category.as_str())
            .collect();
        let categories: Vec<_> = categories.into_iter().collect();
        let users: BTreeSet<_> = deliveries
            .iter()
            .map(|delivery| delivery.user_id.clone())
            .collect();
        let users: Vec<_> = users.into_iter().collect();
        let read = each_connection!(&self.database, |connection| {
            let read = connection.read_choices(&self.database, &categories, &users);
            read.await
        });
        Ok(read?)
    }

    /// Whether preferences decide about a channel of an event.
    pub(crate) fn weight(&self, event_type: &str, channel: &str) -> Weight {
        let event = self.registry.event(event_type);
        event.map_or(Weight::Critical, |event| event.weight(channel))
    }

    /// Resolves the addresses; who has none is judged at once. Without an answer of the book nothing was tried.
    pub(crate) async fn address(
        &self,
        channel: &'static str,
        mut deliveries: Vec<Delivery>,
    ) -> (Vec<Delivery>, Vec<Judged>) {
        let asked = Instant::now();
        let mut users: Vec<String> = deliveries
            .iter()
            .map(|delivery| delivery.user_id.clone())
            .collect();
        users.sort_unstable();
        users.dedup();
        let book = match self.look_up(channel, users).await {
            Ok(book) => book,
            Err(message) => {
                let error = DeliveryError::new(message).with_class(ErrorClass::Internal);
                let judged = Judged::all(deliveries, &Verdict::retry(error), asked.elapsed());
                return (Vec::new(), judged);
            }
        };
        for delivery in &mut deliveries {
            delivery.addresses = book.get(&delivery.user_id).cloned().unwrap_or_default();
        }
        let (reachable, unreachable): (Vec<_>, Vec<_>) = deliveries
            .into_iter()
            .partition(|delivery| !delivery.addresses.is_empty());
        let judged = Judged::all(unreachable, &Verdict::Unreachable, Duration::ZERO);
        (reachable, judged)
    }

    /// Asks the address book, which may be the host's: on a thread of its own, a few at once, in bounded time.
    async fn look_up(
        &self,
        channel: &'static str,
        users: Vec<String>,
    ) -> Result<HashMap<String, Vec<String>>, String> {
        let time = self.limits.time_to_start();
        let (places, book) = (&self.channels[channel].look_ups, &self.address_book);
        let (places, book) = (Arc::clone(places), Arc::clone(book));
        let looked_up = async move {
            let place = places.acquire_owned().await;
            let place = place.expect("the semaphore is never closed");
            let ask =
                async move { tokio::time::timeout(time, book.addresses(channel, &users)).await };
            on_own_thread(place, ask.in_current_span()).await
        };
        // A little longer than the book itself may take, unless it blocks its thread.
        let longest = time + Duration::from_millis(100);
        match tokio::time::timeout(longest, looked_up).await {
            Ok(Ok(Ok(Ok(book)))) => Ok(book),
            // The cause may hold an address; it stays with the book.
            Ok(Ok(Ok(Err(error)))) => Err(error.to_string()),
            Ok(Err(NoAnswer::Panicked)) => Err("the address book panicked".to_owned()),
            Ok(Err(NoAnswer::NoThread(error))) => {
                Err(format!("there is no thread for the address book: {error}"))
            }
            Ok(Ok(Err(_))) | Err(_) => Err("the address book did not answer in time".to_owned()),
        }
    }
}
