//! Workers that die: in the middle of a send, and between the provider's acceptance and the record in the database.

use std::time::Duration;

use campanile_tests::database::{Fixture as _, run};
use campanile_tests::fault_proxy::FaultProxy;
use campanile_tests::outside::Mails;
use campanile_tests::provider::{Answered, Behaviour};
use campanile_tests::{Kind, TestDatabase, both_databases};

use crate::rounds::rounds;
use crate::stage::{Stage, bell, letter};

/// Makes the database log how long after the end of the lease, in microseconds, each delivery was taken over from a worker.
async fn log_takeovers(database: &TestDatabase) {
    let log = match database.kind {
        Kind::Postgres => {
            "create function log_takeover() returns trigger language plpgsql as $$ begin \
                insert into public.takeovers values (extract(epoch from clock_timestamp() - old.lease_until) * 1000000); \
                return null; end $$; \
             create trigger log_takeover after update on campanile.notification_deliveries for each row \
                when (old.state = 'running' and new.state = 'running' and old.worker is distinct from new.worker) \
                execute function log_takeover()"
        }
        Kind::Sqlite => {
            "create trigger log_takeover after update on campanile_notification_deliveries \
                when old.state = 'running' and new.state = 'running' and old.worker is not new.worker begin \
                insert into takeovers values ({now} - old.lease_until); end"
        }
    };
    let table = "create table takeovers (late bigint not null); ";
    database.execute(&format!("{table}{log}")).await;
}

both_databases! {
    /// G2: a lease of 30 seconds, which is shorter here, and five seconds for the maintenance.
    async fn deliveries_of_a_dead_worker_are_taken_over_within_five_seconds_of_the_end_of_its_lease(stage: Stage) {
        log_takeovers(&stage.database).await;
        stage.people(4).await;
        stage.provider.always(Behaviour::AcceptThenHold);
        let _ = stage.enqueue(letter("taken over", 4)).await;
        let worker = stage.worker_as(|settings| (settings.lease_millis, settings.mail_millis, settings.attempt_millis) = (5_000, 120_000, 120_000));
        stage.provider.asked(0, 4).await;
        stage.provider.always(Behaviour::Accept);
        let other = stage.worker();
        let both_run = async || stage.database.count("notification_workers").await == 2;
        stage.eventually("both of them run", both_run).await;
        stage.kill(worker).await;
        stage.all_ended().await;
        other.terminate().await;
        assert_eq!(stage.database.number("select count(*) from takeovers").await, 4);
        for late in ["select min(late) from takeovers", "select max(late) from takeovers"] {
            let late = stage.database.number(late).await;
            assert!((0..=5_000_000).contains(&late), "{late} microseconds after the end of the lease");
        }
        stage.ends_well().await;
    }

    /// F1.
    async fn workers_that_are_killed_in_the_middle_of_a_send_lose_nothing(stage: Stage) {
        stage.people(12).await;
        for mut round in rounds("F1", &stage) {
            stage.provider.always(Behaviour::AcceptAfter(Duration::from_millis(30)));
            for kill in 0..3 {
                let seen = stage.provider.ledger().entries.len();
                let _ = stage.enqueue(bell(&round.text(&format!("kill {kill}")), 12)).await;
                let mails = round.one_of(&[Mails::Alone, Mails::Together]);
                let worker = stage.worker_as(|settings| settings.mails = mails);
                let requests = if mails == Mails::Alone { round.between(1..=10) } else { 1 };
                stage.provider.asked(seen, requests).await;
                tokio::time::sleep(round.up_to(Duration::from_millis(60))).await;
                stage.kill(worker).await;
            }
            stage.ends_well().await;
            let notifications = i64::try_from((round.number + 1) * 3 * 12).unwrap();
            assert_eq!(stage.in_state("delivered").await, 2 * notifications);
        }
    }

    /// F2, with a key for each mail: not even then is a mail sent twice.
    async fn a_mail_that_was_accepted_before_its_worker_died_is_not_sent_again(stage: Stage) {
        stage.people(10).await;
        for mut round in rounds("F2 alone", &stage) {
            stage.provider.always(Behaviour::AcceptThenHold);
            let _ = stage.enqueue(letter(&round.text("alone"), 10)).await;
            let (seen, repeated) = (stage.provider.ledger(), stage.provider.ledger().answered(Answered::Repeated));
            let worker = stage.worker();
            let held = round.between(1..=8);
            stage.provider.asked(seen.entries.len(), held).await;
            stage.kill(worker).await;
            stage.ends_well().await;
            let ledger = stage.provider.ledger();
            assert!(ledger.answered(Answered::Repeated) >= repeated + held, "they were retried under their keys");
            assert_eq!(ledger.mails(), usize::try_from((round.number + 1) * 10).unwrap());
        }
    }

    /// F2, in a batch: it is retried unchanged, and the provider recognizes it.
    async fn a_batch_that_was_accepted_before_its_worker_died_is_sent_once(stage: Stage) {
        stage.people(10).await;
        for round in rounds("F2 together", &stage) {
            stage.provider.always(Behaviour::AcceptThenHold);
            let _ = stage.enqueue(letter(&round.text("together"), 10)).await;
            let seen = stage.provider.ledger().entries.len();
            let worker = stage.worker_as(|settings| settings.mails = Mails::Together);
            stage.provider.asked(seen, 1).await;
            stage.kill(worker).await;
            stage.ends_well().await;
        }
        let ledger = stage.provider.ledger();
        assert!(ledger.taken().values().all(|delivery| (delivery.in_batch, delivery.alone) == (1, 0)));
        assert!(ledger.answered(Answered::Repeated) > 0);
    }
}

/// F2, after the verdict: the network is so slow that the worker dies between the statement that records the verdict and
/// the one that releases the window. Nobody was reached, so the next fire must not be a repeat.
#[test]
fn the_window_of_a_dead_delivery_is_released_even_if_its_worker_dies_after_the_verdict() {
    run(Kind::Postgres, async |database| {
        let stage = Stage::over(database).await;
        stage.people(1).await;
        let proxy = FaultProxy::before(&stage.database.url).await;
        stage.provider.always(Behaviour::HoldThenRefuse(422));
        let _ = stage.enqueue(letter("refused", 1)).await;
        let worker = stage.worker_at(&proxy.url, |_| {});
        stage.provider.asked(0, 1).await;
        proxy.slow(Duration::from_millis(300), Duration::from_millis(300));
        stage.provider.release();
        let dead = async || stage.in_state("dead").await == 1;
        stage.eventually("the verdict is recorded", dead).await;
        stage.kill(worker).await;
        stage.ends_well().await;
    });
}
