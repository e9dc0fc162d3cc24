//! A **batch** is the deliveries that are sent in one call of a channel. Where the provider recognizes a repeated batch by its
//! key, the members are persisted before the batch is sent: if it is unknown whether it arrived, it is retried with the same
//! members under the same key, also by another process, and no recipient gets it twice.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::channel::delivery::{Delivery, DeliveryError, ErrorClass, Verdict};
use crate::database::error::StoreError;
use crate::deliver::Deliverer;
use crate::deliver::transition::{Cause, Transition};
use crate::store::lease;

/// The deliveries of a round as batches; and those that must not be sent, because the members of their batch could not be
/// persisted, or because their batch is too large for the channel as it is configured here.
pub(crate) async fn batches(
    deliverer: &Deliverer,
    channel: &str,
    deliveries: Vec<Delivery>,
) -> (Vec<Vec<Delivery>>, Vec<Transition>) {
    let policy = deliverer.policy(channel);
    let size = deliverer.channels[channel].channel.max_batch().max(1);
    if !policy.supports_keys() {
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

/// Whether the members of the batches are persisted.
enum Frozen {
    Yes,
    /// The database rejects the write, and retrying does not help.
    Refused,
    No,
}

/// Persists the members of each batch before any batch is sent. A single delivery is sent under its own key.
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
                "the database refuses to record the members of the batches; their deliveries are sent one by one"
            );
            Frozen::Refused
        }
        Err(error) => {
            tracing::warn!(
                target: "campanile",
                error = &error as &dyn std::error::Error,
                "the members of the batches were not recorded; their deliveries are not sent yet"
            );
            Frozen::No
        }
    }
}

/// The end of a batch that may have been sent and that this channel, configured for smaller batches since, cannot repeat. Split
/// up, its members would be sent under other keys, and recipients who got it would get it twice.
fn too_large() -> Verdict {
    let error = "it may have been sent in a batch that is larger than the channel's limit here; retry it if it has not arrived";
    Verdict::permanent(DeliveryError::new(error).with_class(ErrorClass::Conflict))
}

/// Cuts deliveries into batches with a maximum number of deliveries and a maximum size of content, unless a single delivery is
/// larger.
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

/// Each delivery under its own key, for which nothing has to be persisted.
fn one_by_one(batches: Vec<Vec<Delivery>>) -> impl Iterator<Item = Vec<Delivery>> {
    let deliveries = batches.into_iter().flatten();
    deliveries.map(|mut delivery| {
        delivery.batch_id = None;
        vec![delivery]
    })
}

/// The batches to repeat, and separately the deliveries that may have been sent alone; and the new deliveries, which may be in
/// any batch.
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
        // In a fixed order, independent of the order of the claim.
        batch.sort_unstable_by_key(|delivery| delivery.id);
    }
    fresh.sort_unstable_by_key(|delivery| delivery.id);
    batches.extend(alone);
    (batches, fresh)
}
