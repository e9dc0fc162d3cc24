//! A **batch** is what goes out in one call of a channel. Where the provider recognizes a repeated batch by its key, who is in
//! it is written down before it goes out: if nobody knows whether it arrived, it comes again with the same members under the
//! same key, also from another process, and nobody hears twice.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::delivery::Delivery;
use crate::dispatch::{Inner, Remote};
use crate::settlement::Judged;
use crate::store::claim;

impl Inner {
    /// The deliveries of one share as batches; those that must not begin, because it could not be written down.
    pub(crate) async fn batches(
        &self,
        remote: &Remote,
        deliveries: Vec<Delivery>,
    ) -> Result<Vec<Vec<Delivery>>, Vec<Judged>> {
        let size = remote.channel.max_batch().max(1);
        if !remote.policy.honours_keys() {
            return Ok(deliveries.chunks(size).map(<[_]>::to_vec).collect());
        }
        let (mut batches, fresh) = sort(deliveries, size);
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
            return Ok(batches);
        }
        match claim::freeze(&self.database, self.worker, &to_freeze).await {
            Ok(true) => return Ok(batches),
            // Another worker has taken some of them over.
            Ok(false) => {}
            Err(error) => tracing::warn!(
                target: "campanile",
                error = &error as &dyn std::error::Error,
                "who is in which batch was not written down; nothing of it goes out yet"
            ),
        }
        Err(Judged::not_begun(batches.into_iter().flatten().collect()))
    }
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

/// The batches that come again, and alone what may have gone out alone; and the fresh ones, which any batch may take. A batch
/// that the channel no longer takes, because it was set up differently since, is taken apart.
fn sort(deliveries: Vec<Delivery>, size: usize) -> (Vec<Vec<Delivery>>, Vec<Delivery>) {
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
    let mut batches: Vec<Vec<Delivery>> = Vec::new();
    for (_, mut batch) in again {
        if batch.len() > size || size == 1 {
            for delivery in &mut batch {
                delivery.batch_id = None;
            }
            alone.extend(batch.into_iter().map(|its| vec![its]));
            continue;
        }
        // In one order, whichever the claim gave them in.
        batch.sort_unstable_by_key(|its| its.id);
        batches.push(batch);
    }
    fresh.sort_unstable_by_key(|its| its.id);
    batches.extend(alone);
    (batches, fresh)
}
