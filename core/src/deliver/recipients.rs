//! The current data of a round's **recipients**: their preferences, and their addresses.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tracing::Instrument as _;

use crate::channel::delivery::Delivery;
use crate::database::each_connection;
use crate::database::error::StoreError;
use crate::deliver::Deliverer;
use crate::deliver::thread::{NoAnswer, on_own_thread};
use crate::plan::preference::Choices;
use crate::store::Store as _;

/// The current preferences of these deliveries' recipients, in one query.
pub(crate) async fn choices(
    deliverer: &Deliverer,
    deliveries: &[Delivery],
) -> Result<Choices, StoreError> {
    let database = &deliverer.database;
    let categories = deliveries.iter().map(|delivery| delivery.category.as_str());
    let categories: BTreeSet<_> = categories.collect();
    let categories: Vec<_> = categories.into_iter().collect();
    let users: Vec<_> = users(deliveries).into_iter().collect();
    let read = each_connection!(database, |connection| {
        let read = connection.read_choices(database, &categories, &users);
        read.await
    });
    Ok(read?)
}

fn users(deliveries: &[Delivery]) -> BTreeSet<String> {
    let users = deliveries.iter().map(|delivery| delivery.user_id.clone());
    users.collect()
}

/// The addresses of these deliveries' recipients, by user. Calls the address book, which may be the host's, on its own thread,
/// with few calls at once and a timeout.
pub(crate) async fn addresses(
    deliverer: &Deliverer,
    channel: &'static str,
    deliveries: &[Delivery],
) -> Result<HashMap<String, Vec<String>>, String> {
    let users: Vec<String> = users(deliveries).into_iter().collect();
    let time = deliverer.limits.time_to_start();
    let (places, book) = (
        &deliverer.channels[channel].look_ups,
        &deliverer.address_book,
    );
    let (places, book) = (Arc::clone(places), Arc::clone(book));
    let looked_up = async move {
        let place = places.acquire_owned().await;
        let place = place.expect("the semaphore is never closed");
        let ask = async move { tokio::time::timeout(time, book.addresses(channel, &users)).await };
        on_own_thread(place, ask.in_current_span()).await
    };
    // A little longer than the address book's own timeout: the look-up has ended by then, unless it blocks its thread.
    let max_wait = time + Duration::from_millis(100);
    match tokio::time::timeout(max_wait, looked_up).await {
        Ok(Ok(Ok(Ok(book)))) => Ok(book),
        // The cause may hold an address; it stays with the book.
        Ok(Ok(Ok(Err(error)))) => Err(error.to_string()),
        Ok(Err(NoAnswer::Panicked)) => Err("the address book panicked".to_owned()),
        Ok(Err(NoAnswer::NoThread(error))) => Err(format!(
            "cannot start a thread for the address book: {error}"
        )),
        Ok(Ok(Err(_))) | Err(_) => Err("the address book did not answer in time".to_owned()),
    }
}
