//! F26 and F41: a worker that is asked to exit while sends are in flight, or while a channel blocks its threads.

use std::time::Duration;

use campanile_tests::both_databases;
use campanile_tests::outside::{Mails, Pigeons};
use campanile_tests::provider::{Answered, Behaviour};

use crate::stage::{Stage, bell, letter};

const UNTOUCHED: &str = "select count(*) from {campanile}notification_deliveries \
    where state = 'pending' and attempt = 0 and lease_until is null and worker is null";

both_databases! {
    /// F26.
    async fn a_terminated_worker_finishes_fifty_sends_in_flight_and_gives_back_the_rest(stage: Stage) {
        stage.people(70).await;
        stage.provider.always(Behaviour::AcceptThenHold);
        let _ = stage.enqueue(letter("in flight", 50)).await;
        let mut worker = stage.worker_as(|settings| (settings.mails, settings.batch) = (Mails::Together, 50));
        stage.provider.until(|ledger| ledger.mails() == 50).await;
        let _ = stage.enqueue(letter("too late", 70)).await;
        worker.tell_to_end().await;
        stage.provider.release();
        worker.ended().await;
        assert_eq!((stage.in_state("delivered").await, stage.database.number(UNTOUCHED).await), (50, 70));
        stage.ends_well().await;
        assert_eq!(stage.provider.ledger().answered(Answered::Repeated), 0);
    }

    /// F26, one mail per request: eight are running, and the others of its fifty have not started.
    async fn leased_deliveries_that_were_not_started_are_given_back_without_using_an_attempt(stage: Stage) {
        stage.people(50).await;
        stage.provider.always(Behaviour::AcceptThenHold);
        let _ = stage.enqueue(letter("leased", 50)).await;
        let mut worker = stage.worker_as(|settings| settings.batch = 50);
        stage.provider.until(|ledger| ledger.mails() == 8).await;
        worker.tell_to_end().await;
        stage.provider.release();
        worker.ended().await;
        assert_eq!((stage.in_state("delivered").await, stage.database.number(UNTOUCHED).await), (8, 42));
        stage.ends_well().await;
        assert_eq!(stage.provider.ledger().answered(Answered::Repeated), 0);
    }

    /// F26, with a provider that never answers: the worker exits anyway, and mails with an unknown outcome are retried.
    async fn a_provider_that_hangs_does_not_keep_a_worker_from_exiting(stage: Stage) {
        stage.people(8).await;
        stage.provider.always(Behaviour::Hang);
        let _ = stage.enqueue(letter("hangs", 8)).await;
        let worker = stage.worker_as(|settings| settings.mail_millis = 1_000);
        stage.provider.asked(0, 8).await;
        worker.terminate().await;
        assert_eq!(stage.in_state("pending").await, 8);
        stage.ends_well().await;
    }
    /// F41. The pigeons block for ten minutes; a process that is asked to exit has a grace period of twenty seconds.
    async fn a_channel_that_blocks_its_threads_does_not_keep_the_process_from_exiting(stage: Stage) {
        stage.people(2).await;
        let _ = stage.enqueue(bell("blocks", 2)).await;
        let mut worker = stage.worker_as(|outside| {
            (outside.pigeons, outside.attempt_millis) = (Pigeons::BlockMillis(600_000), 600_000);
        });
        let blocked = "select count(*) from {campanile}notification_deliveries where channel = 'pigeon' and state = 'running'";
        stage.eventually("the pigeons block", async || stage.database.number(blocked).await == 2).await;
        stage.eventually("mails are sent", async || stage.in_state("delivered").await == 2).await;
        // The running calls end unrecorded.
        stage.told().killed = true;
        worker.tell_to_end().await;
        let ended = tokio::time::timeout(Duration::from_secs(50), worker.ended()).await;
        assert!(ended.is_ok(), "the process keeps running while its channel blocks");
        stage.ends_well().await;
        assert_eq!(stage.in_state("delivered").await, 4);
    }
}
