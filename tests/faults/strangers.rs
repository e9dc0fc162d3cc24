//! Rows that cannot be read, and deliveries that a worker of another version does not know.

use campanile::NotifiableEvent as _;
use campanile_tests::outside::LetterCame;
use campanile_tests::{Kind, both_databases};

use crate::stage::{Stage, bell, letter};

const POISONED: &str = "select count(*) from {campanile}notification_deliveries \
    where state = 'blocked' and attempt = 0 and last_error is not null and lease_until is null";

both_databases! {
    /// F16.
    async fn a_row_that_cannot_be_read_is_parked_and_the_others_are_delivered(stage: Stage) {
        stage.people(5).await;
        let _ = stage.enqueue(bell("poison", 1)).await;
        // On Postgres content is JSON at least; on SQLite it may be anything.
        let poison = match stage.database.kind {
            Kind::Postgres => "'[1]'::jsonb",
            Kind::Sqlite => "'no JSON'",
        };
        stage.database.execute("create table antidote as select id, content from {campanile}notification_dispatches").await;
        stage.database.execute(&format!("update {{campanile}}notification_dispatches set content = {poison}")).await;
        let _ = stage.enqueue(bell("wholesome", 5)).await;
        let worker = stage.worker();
        stage.all_ended().await;
        assert_eq!((stage.database.number(POISONED).await, stage.in_state("delivered").await), (2, 10));
        // An operator repairs the row, and retries the delivery.
        stage.database.execute(
            "update {campanile}notification_dispatches as dispatch set content = (select content from antidote where antidote.id = dispatch.id) \
             where id in (select id from antidote)",
        ).await;
        let blocked = campanile::operate::DeliveryFilter {
            state: Some(campanile::operate::DeliveryState::Blocked),
            ..Default::default()
        };
        for delivery in stage.dispatcher.operations().deliveries(blocked).await.unwrap() {
            stage.dispatcher.operations().retry_delivery(delivery.id).await.unwrap();
        }
        stage.all_ended().await;
        worker.terminate().await;
        stage.ends_well().await;
        assert_eq!(stage.in_state("delivered").await, 12);
    }

    /// F17: an event that this worker does not know is blocked and uses no attempt, and a worker that knows it resumes it
    /// automatically.
    async fn an_event_unknown_to_an_old_worker_waits_for_one_that_knows_it(stage: Stage) {
        stage.people(5).await;
        let _ = stage.enqueue(letter("new", 5)).await;
        let _ = stage.enqueue(bell("old", 5)).await;
        let letter_came = LetterCame::DECLARATION.event_type.to_owned();
        let old = stage.worker_as(|settings| settings.unknown_events = vec![letter_came]);
        let (blocked, delivered) = ("blocked", "delivered");
        let parted = async || (stage.in_state(blocked).await, stage.in_state(delivered).await) == (5, 10);
        stage.eventually("unknown events are blocked, the rest is delivered", parted).await;
        old.terminate().await;
        assert_eq!(stage.database.number(UNTRIED).await, 5, "no attempt was used");
        let new = stage.worker();
        stage.eventually("a new worker resumes it", async || stage.in_state(delivered).await == 15).await;
        new.terminate().await;
        stage.ends_well().await;
    }

    /// F17: a worker does not take deliveries of a channel that it does not link.
    async fn a_channel_that_an_old_worker_does_not_link_waits_for_one_that_links_it(stage: Stage) {
        stage.people(5).await;
        let _ = stage.enqueue(letter("mail alone", 5)).await;
        let _ = stage.enqueue(bell("by mail and by pigeon", 5)).await;
        let old = stage.worker_as(|settings| settings.unlinked = vec!["pigeon".into()]);
        let letters = async || stage.in_state("delivered").await >= 5;
        stage.eventually("known events are delivered", letters).await;
        old.terminate().await;
        let untouched = "select count(*) from {campanile}notification_deliveries where channel = 'pigeon' and attempt = 0 \
            and state in ('pending', 'blocked')";
        assert_eq!(stage.database.number(untouched).await, 5);
        let new = stage.worker();
        stage.eventually("a new worker delivers the rest", async || stage.in_state("delivered").await == 15).await;
        new.terminate().await;
        stage.ends_well().await;
    }
}

const UNTRIED: &str = "select count(*) from {campanile}notification_deliveries where state = 'blocked' and attempt = 0";
