//! A channel that panics, hangs or blocks its thread, beside one that works.

use campanile_tests::both_databases;
use campanile_tests::outside::Pigeons;

use crate::ledgers::scrolls;
use crate::stage::{Stage, bell, letter};

const MAILED: &str = "select count(*) from {campanile}notification_deliveries where channel = 'email' and state = 'delivered'";

const FLYING: &str = "select count(*) from {campanile}notification_deliveries where channel = 'pigeon' and state = 'running'";

both_databases! {
    /// F12.
    async fn a_channel_that_panics_fails_only_its_own_deliveries_and_the_worker_continues(stage: Stage) {
        stage.people(10).await;
        let _ = stage.enqueue(bell("panics", 10)).await;
        let mut worker = stage.worker_as(|settings| settings.pigeons = Pigeons::Panic);
        let panicked = "select count(distinct delivery_id) from {campanile}notification_attempts where error = 'the channel panicked'";
        stage.eventually("each of them panicked", async || stage.database.number(panicked).await == 10).await;
        stage.eventually("mails are sent", async || stage.database.number(MAILED).await == 10).await;
        assert!(worker.runs());
        worker.terminate().await;
        stage.ends_well().await;
        assert_eq!(stage.in_state("delivered").await, 20);
    }

    /// F12, with a channel that always panics.
    async fn a_channel_that_always_panics_leaves_its_deliveries_dead(stage: Stage) {
        stage.people(2).await;
        let _ = stage.enqueue(bell("always panics", 2)).await;
        let dispatcher = stage.dispatcher_as(|settings| settings.pigeons = Pigeons::Panic);
        for _ in 0..12 {
            stage.end_pauses().await;
            dispatcher.deliver_due(10).await.unwrap();
        }
        stage.ends_well().await;
        assert_eq!((stage.in_state("dead").await, stage.in_state("delivered").await), (2, 2));
    }

    /// F13.
    async fn a_channel_that_hangs_does_not_delay_the_others(stage: Stage) {
        stage.people(10).await;
        let _ = stage.enqueue(bell("hangs", 10)).await;
        // Its timeout is far away: mails are sent while pigeons hang.
        let worker = stage.worker_as(|settings| (settings.pigeons, settings.attempt_millis) = (Pigeons::Hang, 60_000));
        stage.eventually("the pigeons hang", async || stage.database.number(FLYING).await == 10).await;
        let _ = stage.enqueue(letter("meanwhile", 10)).await;
        stage.eventually("mails are sent", async || stage.database.number(MAILED).await == 20).await;
        assert_eq!(stage.database.number(FLYING).await, 10, "the pigeons still hang");
        stage.kill(worker).await;
        stage.ends_well().await;
    }

    /// F13. The channel breaks its contract, but the others still have their own threads.
    async fn a_channel_that_blocks_its_threads_does_not_block_the_others(stage: Stage) {
        stage.people(2).await;
        let _ = stage.enqueue(bell("blocks", 2)).await;
        let worker = stage.worker_as(|settings| (settings.pigeons, settings.threads) = (Pigeons::BlockMillis(120_000), 4));
        stage.eventually("the pigeons block", async || stage.database.number(FLYING).await == 2).await;
        for time in 0..5 {
            let _ = stage.enqueue(letter(&format!("meanwhile {time}"), 2)).await;
            let mailed = async || stage.database.number(MAILED).await == 2 + 2 * (time + 1);
            stage.eventually("mails are sent", mailed).await;
        }
        assert!(scrolls(&stage).is_empty(), "the pigeons still block");
        stage.kill(worker).await;
        stage.ends_well().await;
    }
}
