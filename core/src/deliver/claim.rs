//! **Claims** deliveries of a channel for a round, except those that are [left alone](super::left_alone).

use crate::database::error::StoreError;
use crate::deliver::Deliverer;
use crate::store::claim::{self, Among, Claimed, Take};

/// Claims deliveries. If the database refuses one of the chosen ones, the others are claimed without it, one by one.
pub(crate) async fn claim(
    deliverer: &Deliverer,
    channel: &'static str,
    take: Take<'_>,
    at_most: usize,
) -> Result<Claimed, StoreError> {
    let left_alone = deliverer.left_alone.now();
    let among = match &left_alone[..] {
        [] => Among::All,
        left_alone => Among::AllBut(left_alone),
    };
    match claim_among(deliverer, channel, take, at_most, among).await {
        Err(refusal) if refusal.is_of_a_row() => {
            claim_each(deliverer, channel, take, at_most, among, refusal).await
        }
        claimed => claimed,
    }
}

async fn claim_among(
    deliverer: &Deliverer,
    channel: &'static str,
    take: Take<'_>,
    at_most: usize,
    among: Among<'_>,
) -> Result<Claimed, StoreError> {
    let (database, lease) = (&deliverer.database, deliverer.limits.lease);
    let claimed = claim::claim(
        database,
        channel,
        take,
        at_most,
        lease,
        deliverer.worker,
        among,
    );
    Ok(claimed.await?)
}

/// Claims them one by one. Those that the database refuses are left alone. `refusal` is the error for all of them together.
async fn claim_each(
    deliverer: &Deliverer,
    channel: &'static str,
    take: Take<'_>,
    at_most: usize,
    among: Among<'_>,
    refusal: StoreError,
) -> Result<Claimed, StoreError> {
    let (mut claimed, mut refused) = (Claimed::default(), Vec::new());
    for id in claim::chosen(&deliverer.database, channel, take, at_most, among).await? {
        match claim_among(deliverer, channel, take, at_most, Among::Only(id)).await {
            Ok(one) => claimed.extend(one),
            Err(error) if error.is_of_a_row() => refused.push((id, error)),
            // The deliveries claimed so far are delivered.
            Err(_) if !claimed.deliveries.is_empty() => break,
            Err(error) => return Err(error),
        }
    }
    // If the database refuses several and takes none, the cause is not one of them.
    if claimed.deliveries.is_empty() && refused.len() > 1 {
        return Err(refusal);
    }
    for (id, error) in &refused {
        tracing::error!(
            target: "campanile",
            channel,
            delivery_id = %id,
            error = error as &dyn std::error::Error,
            "the database refuses to let a delivery be claimed; this process leaves it alone for ten minutes"
        );
        deliverer.left_alone.extend(&[*id]);
    }
    Ok(claimed)
}
