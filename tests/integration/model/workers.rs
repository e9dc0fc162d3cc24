//! The **workers**: dispatchers over one database, with short timeouts, few attempts and a policy of each kind.

use std::sync::Arc;
use std::time::Duration;

use campanile::Dispatcher;
use campanile::channel::Policy;
use campanile::channel::{EMAIL, PUSH};
use campanile_email::EmailSettings;
use campanile_pigeon::PIGEON;
use campanile_push::PushSettings;
use campanile_tests::App;

use super::carrier::{Carrier, Office};
use super::command::BRISK;
use super::delivery::{HORIZON, LEASE, MAX_ATTEMPTS, PAUSE};

pub(super) fn build(app: &App, office: &Arc<Office>, worker: usize) -> Dispatcher {
    let carrier = Carrier {
        office: Arc::clone(office),
        worker,
    };
    let day = Duration::from_hours(24);
    let builder = app
        .builder()
        .with(EmailSettings::new(
            "Tower <bells@example.com>",
            carrier.clone(),
        ))
        .with(PushSettings::new(carrier.clone()))
        .with(carrier.pigeons())
        .tune(&EMAIL, move |policy| short(policy).key_lifetime(day))
        .tune(&PIGEON, short)
        .tune(&PUSH, |policy| short(policy).max_lost_answers(1));
    let builder = if worker == BRISK {
        builder
    } else {
        let lease = Duration::from_secs(LEASE.unsigned_abs());
        builder.lease(lease).attempt_timeout(lease / 2)
    };
    builder.build().unwrap()
}

fn short(policy: Policy) -> Policy {
    let pause = Duration::from_secs(PAUSE.unsigned_abs());
    policy
        .backoff(pause, pause)
        .max_attempts(MAX_ATTEMPTS)
        // No call waits for a hanging one.
        .concurrency(400)
        .horizon(Duration::from_secs(HORIZON.unsigned_abs()))
}
