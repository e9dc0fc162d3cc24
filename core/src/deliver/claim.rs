//! **Claims** the deliveries of a share, without those that are left alone: deliveries whose row the database refuses to change,
//! by a trigger of the host's for example. This process does not claim them for a while: it could not record what comes of them,
//! and would send them again and again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::database::error::StoreError;
use crate::deliver::Deliverer;
use crate::store::claim::{self, Among, Claimed, Take};

/// How long.
const LEFT_ALONE: Duration = Duration::from_mins(10);

/// Deliveries, and until when each is left alone.
#[derive(Debug, Default)]
pub(crate) struct LeftAlone(Mutex<HashMap<Uuid, Instant>>);

impl LeftAlone {
    /// Leaves these alone from now on.
    pub(crate) fn extend(&self, deliveries: &[Uuid]) {
        let until = Instant::now() + LEFT_ALONE;
        let mut left_alone = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        left_alone.extend(deliveries.iter().map(|id| (*id, until)));
    }

    /// What is left alone now.
    fn now(&self) -> Vec<Uuid> {
        let now = Instant::now();
        let mut left_alone = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        left_alone.retain(|_, until| *until > now);
        left_alone.keys().copied().collect()
    }
}

impl Deliverer {
    /// Claims. If the database refuses one of what was chosen, the others are claimed without it, one by one.
    pub(crate) async fn claim(
        &self,
        channel: &'static str,
        take: Take<'_>,
        at_most: usize,
    ) -> Result<Claimed, StoreError> {
        let left_alone = self.left_alone.now();
        let (database, lease) = (&self.database, self.limits.lease);
        let among = match &left_alone[..] {
            [] => Among::All,
            left_alone => Among::AllBut(left_alone),
        };
        let claim =
            |among| claim::claim(database, channel, take, at_most, lease, self.worker, among);
        let refusal = match claim(among).await.map_err(StoreError::from) {
            Err(error) if error.is_of_a_row() => error,
            claimed => return claimed,
        };
        let (mut claimed, mut refused) = (Claimed::default(), Vec::new());
        for id in claim::chosen(database, channel, take, at_most, among).await? {
            match claim(Among::Only(id)).await.map_err(StoreError::from) {
                Ok(one) => claimed.extend(one),
                Err(error) if error.is_of_a_row() => refused.push((id, error)),
                // What was claimed until then is delivered.
                Err(_) if !claimed.deliveries.is_empty() => break,
                Err(error) => return Err(error),
            }
        }
        // If it refuses several and takes none, it is not about one of them.
        if claimed.deliveries.is_empty() && refused.len() > 1 {
            return Err(refusal);
        }
        for (id, error) in &refused {
            tracing::error!(
                target: "campanile",
                channel,
                delivery_id = %id,
                error = error as &dyn std::error::Error,
                "the database refuses the claim of a delivery; this process leaves it alone for ten minutes"
            );
            self.left_alone.extend(&[*id]);
        }
        Ok(claimed)
    }
}
