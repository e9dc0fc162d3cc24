//! F6: a network that keeps connections open but passes nothing, or cuts them.

use std::time::Duration;

use campanile_tests::Kind;
use campanile_tests::database::{Fixture as _, run};
use campanile_tests::fault_proxy::FaultProxy;
use campanile_tests::provider::{Answered, Behaviour};

use crate::rounds::rounds;
use crate::stage::{Stage, bell};

async fn stage_and_proxy(database: campanile_tests::TestDatabase) -> (Stage, FaultProxy) {
    let stage = Stage::over(database).await;
    stage.people(6).await;
    let proxy = FaultProxy::before(&stage.database.url).await;
    (stage, proxy)
}

/// F6. The first one can neither record what it sent nor give it back; the second one can.
#[test]
fn deliveries_of_a_worker_with_half_open_connections_are_finished_by_another() {
    run(Kind::Postgres, async |database| {
        let (stage, proxy) = stage_and_proxy(database).await;
        stage.provider.always(Behaviour::AcceptThenHold);
        let _ = stage.enqueue(bell("half-open", 6)).await;
        let cut_off = stage.worker_at(&proxy.url, |_| {});
        stage.provider.asked(0, 6).await;
        proxy.strand();
        stage.provider.always(Behaviour::Accept);
        stage.provider.release();
        let other = stage.worker();
        stage.advance().await;
        stage.all_ended().await;
        other.terminate().await;
        assert_eq!(stage.provider.ledger().answered(Answered::Repeated), 6);
        stage.kill(cut_off).await;
        stage.ends_well().await;
    });
}

/// F6. G2: while one worker runs and the database answers, due deliveries are made. The worker's existing connections never
/// answer again, in the middle of a statement; new ones work.
#[test]
fn a_worker_whose_connections_went_half_open_continues_with_new_ones() {
    run(Kind::Postgres, async |database| {
        let (stage, proxy) = stage_and_proxy(database).await;
        let _ = stage.enqueue(bell("before", 6)).await;
        let mut worker = stage.worker_at(&proxy.url, |_| {});
        stage.all_ended().await;
        // So slow that the worker is always in the middle of a statement.
        proxy.slow(Duration::from_millis(100), Duration::from_millis(100));
        let connections = proxy.connections();
        let _ = stage.enqueue(bell("during", 6)).await;
        stage.all_ended().await;
        proxy.strand();
        proxy.slow(Duration::ZERO, Duration::ZERO);
        let _ = stage.enqueue(bell("after", 6)).await;
        stage.all_ended().await;
        assert!(worker.runs() && proxy.connections() > connections);
        stage.kill(worker).await;
        stage.ends_well().await;
    });
}

/// F6, with connections that are closed instead of staying open.
#[test]
fn a_worker_whose_connections_are_cut_continues_with_new_ones() {
    run(Kind::Postgres, async |database| {
        let (stage, proxy) = stage_and_proxy(database).await;
        let worker = stage.worker_at(&proxy.url, |_| {});
        for mut round in rounds("F6 cut", &stage) {
            stage
                .provider
                .always(Behaviour::AcceptAfter(Duration::from_millis(10)));
            for cut in 0..4 {
                let seen = stage.provider.ledger().entries.len();
                let _ = stage
                    .enqueue(bell(&round.text(&format!("cut {cut}")), 6))
                    .await;
                stage.provider.asked(seen, round.between(1..=6)).await;
                tokio::time::sleep(round.up_to(Duration::from_millis(20))).await;
                stage.told().killed = true;
                proxy.cut();
                stage.advance().await;
            }
            stage.advance().await;
            stage.all_ended().await;
        }
        worker.terminate().await;
        stage.ends_well().await;
    });
}
