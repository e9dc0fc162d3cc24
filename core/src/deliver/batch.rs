//! A **batch** is what goes out in one call of a channel. Where the provider recognizes a repeated batch by its key, who is in
//! it is written down before it goes out: if nobody knows whether it arrived, it comes again with the same members under the
//! same key, also from another process, and nobody hears twice.

use std::collections::BTreeMap;
use std::time::Duration;

use uuid::Uuid;

use crate::channel::delivery::{Delivery, DeliveryError, ErrorClass, Verdict};
use crate::database::error::StoreError;
use crate::deliver::transition::Judged;
use crate::deliver::{Deliverer, remote::Remote};
use crate::store::claim;

impl Deliverer {
    /// The deliveries of one share as batches; and those that must not go out, because who is in which batch could not be
    /// written down, or because their batch is too large for the channel as it is set up here.
    pub(crate) async fn batches(
        &self,
        remote: &Remote,
        deliveries: Vec<Delivery>,
    ) -> (Vec<Vec<Delivery>>, Vec<Judged>) {
        let size = remote.channel.max_batch().max(1);
        if !remote.policy.honours_keys() {
            let batches = deliveries.chunks(size).map(<[_]>::to_vec);
            return (batches.collect(), Vec::new());
        }
        let (mut batches, fresh) = sort(deliveries);
        let mut judged = Vec::new();
        for batch in batches.extract_if(.., |its| its.len() > size) {
            judged.extend(Judged::all(batch, &too_large(), Duration::ZERO));
        }
        let known = batches.len();
        for mut chunk in chunks(fresh, size, remote.policy.batch_bytes) {
            // One alone goes out under its own key.
            let batch_id = (chunk.len() > 1).then(Uuid::now_v7);
            for delivery in &mut chunk {
                delivery.batch_id = batch_id;
            }
            batches.push(chunk);
        }
        let to_freeze: Vec<&[Delivery]> = batches[known..]
            .iter()
            .filter(|its| its.len() > 1)
            .map(Vec::as_slice)
            .collect();
        if to_freeze.is_empty() {
            return (batches, judged);
        }
        let lease = self.limits.lease;
        let frozen = claim::freeze(&self.database, self.worker, &to_freeze, lease).await;
        match frozen.map_err(StoreError::from) {
            Ok(true) => return (batches, judged),
            Err(error) if error.is_of_a_row() => {
                tracing::error!(
                    target: "campanile",
                    error = &error as &dyn std::error::Error,
                    "the database refuses to write down who is in which batch; they go out one by one"
                );
                let fresh = batches.split_off(known);
                batches.extend(one_by_one(fresh));
                return (batches, judged);
            }
            // Another worker has taken some of them over.
            Ok(false) => {}
            Err(error) => tracing::warn!(
                target: "campanile",
                error = &error as &dyn std::error::Error,
                "who is in which batch was not written down; nothing of it goes out yet"
            ),
        }
        judged.extend(Judged::not_begun(batches.into_iter().flatten().collect()));
        (Vec::new(), judged)
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
        batch.sort_unstable_by_key(|its| its.id);
    }
    fresh.sort_unstable_by_key(|its| its.id);
    batches.extend(alone);
    (batches, fresh)
}
