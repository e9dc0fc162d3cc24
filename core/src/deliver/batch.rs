//! A **batch** is what goes out in one call of a channel. Where the provider recognizes a repeated batch by its key, who is in
//! it is written down before it goes out: if nobody knows whether it arrived, it comes again with the same members under the
//! same key, also from another process, and nobody hears twice.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::channel::delivery::{Delivery, DeliveryError, ErrorClass, Verdict};
use crate::database::error::StoreError;
use crate::deliver::Deliverer;
use crate::deliver::transition::{Cause, Transition};
use crate::store::lease;

/// The deliveries of a round as batches; and those that must not go out, because who is in which batch could not be written
/// down, or because their batch is too large for the channel as it is set up here.
pub(crate) async fn batches(
    deliverer: &Deliverer,
    channel: &str,
    deliveries: Vec<Delivery>,
) -> (Vec<Vec<Delivery>>, Vec<Transition>) {
    let policy = deliverer.policy(channel);
    let size = deliverer.channels[channel].channel.max_batch().max(1);
    if !policy.honours_keys() {
        let batches = deliveries.chunks(size).map(<[_]>::to_vec);
        return (batches.collect(), Vec::new());
    }
    let (mut again, fresh) = sort(deliveries);
    let refused: Vec<_> = again.extract_if(.., |batch| batch.len() > size).collect();
    let too_large = Cause::verdict(too_large());
    let mut decided = Transition::of_all(refused.iter().flatten(), &too_large, policy);
    let mut fresh = chunks(fresh, size, policy.batch_bytes);
    match freeze(deliverer, &mut fresh).await {
        Frozen::Yes => again.extend(fresh),
        Frozen::Refused => again.extend(one_by_one(fresh)),
        Frozen::No => {
            let all = again.iter().chain(&fresh).flatten();
            decided.extend(Transition::of_all(all, &Cause::NotBegun, policy));
            again.clear();
        }
    }
    (again, decided)
}

/// Whether it is written down who is in which batch.
enum Frozen {
    Yes,
    /// The database refuses to, whoever asks.
    Refused,
    No,
}

/// Writes down who is in which batch, before any of them goes out. One alone goes out under its own key.
async fn freeze(deliverer: &Deliverer, batches: &mut [Vec<Delivery>]) -> Frozen {
    for batch in &mut *batches {
        let batch_id = (batch.len() > 1).then(Uuid::now_v7);
        for delivery in batch {
            delivery.batch_id = batch_id;
        }
    }
    let batches = batches.iter().filter(|batch| batch.len() > 1);
    let batches: Vec<&[Delivery]> = batches.map(Vec::as_slice).collect();
    if batches.is_empty() {
        return Frozen::Yes;
    }
    let (database, lease) = (&deliverer.database, deliverer.limits.lease);
    let frozen = lease::freeze(database, deliverer.worker, &batches, lease).await;
    match frozen.map_err(StoreError::from) {
        Ok(true) => Frozen::Yes,
        // Another worker has taken some of them over.
        Ok(false) => Frozen::No,
        Err(error) if error.is_of_a_row() => {
            tracing::error!(
                target: "campanile",
                error = &error as &dyn std::error::Error,
                "the database refuses to write down who is in which batch; they go out one by one"
            );
            Frozen::Refused
        }
        Err(error) => {
            tracing::warn!(
                target: "campanile",
                error = &error as &dyn std::error::Error,
                "who is in which batch was not written down; nothing of it goes out yet"
            );
            Frozen::No
        }
    }
}

/// The end of a batch that may have gone out and that this channel, set up for smaller ones since, cannot repeat. Taken apart
/// its members would go out under other keys, and those who have heard would hear twice.
fn too_large() -> Verdict {
    let error = "it may have gone out in a batch that is larger than the channel takes here; retry it if it has not arrived";
    Verdict::permanent(DeliveryError::new(error).with_class(ErrorClass::Conflict))
}

/// Cuts deliveries into batches of at most so many, and of at most so much content unless one alone has more.
fn chunks(deliveries: Vec<Delivery>, size: usize, bytes: usize) -> Vec<Vec<Delivery>> {
    let mut chunks: Vec<Vec<Delivery>> = Vec::new();
    let mut room = 0_usize;
    for delivery in deliveries {
        let content: usize = delivery.parts.values().map(String::len).sum();
        match chunks.last_mut() {
            Some(chunk) if chunk.len() < size && content <= room => chunk.push(delivery),
            _ => {
                chunks.push(vec![delivery]);
                room = bytes;
            }
        }
        room = room.saturating_sub(content);
    }
    chunks
}

/// Each under its own key, which needs nothing written down.
fn one_by_one(batches: Vec<Vec<Delivery>>) -> impl Iterator<Item = Vec<Delivery>> {
    let deliveries = batches.into_iter().flatten();
    deliveries.map(|mut delivery| {
        delivery.batch_id = None;
        vec![delivery]
    })
}

/// The batches that come again, and alone what may have gone out alone; and the fresh ones, which any batch may take.
fn sort(deliveries: Vec<Delivery>) -> (Vec<Vec<Delivery>>, Vec<Delivery>) {
    let (mut again, mut alone, mut fresh) = (BTreeMap::<_, Vec<_>>::new(), Vec::new(), Vec::new());
    for delivery in deliveries {
        match delivery.batch_id {
            Some(batch) if delivery.maybe_sent && !delivery.is_alone() => {
                again.entry(batch).or_default().push(delivery);
            }
            _ if delivery.maybe_sent || delivery.is_alone() => alone.push(vec![delivery]),
            _ => fresh.push(delivery),
        }
    }
    let mut batches: Vec<Vec<Delivery>> = again.into_values().collect();
    for batch in &mut batches {
        // In one order, whichever the claim gave them in.
        batch.sort_unstable_by_key(|delivery| delivery.id);
    }
    fresh.sort_unstable_by_key(|delivery| delivery.id);
    batches.extend(alone);
    (batches, fresh)
}
