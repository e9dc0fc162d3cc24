//! F15: a worker that is stopped for longer than its lease, and then continues as if nothing had happened.

use campanile_tests::both_databases;
use campanile_tests::provider::{Answered, Behaviour};

use crate::stage::{Stage, letter};

/// Whether the only delivery matches this condition.
async fn is(stage: &Stage, condition: &str) -> bool {
    let count =
        format!("select count(*) from {{campanile}}notification_deliveries where {condition}");
    stage.database.number(&count).await == 1
}

/// Waits until the log has the line of the first attempt, from its own worker.
async fn first_is_logged(stage: &Stage) {
    let line = "select count(*) from {campanile}notification_attempts where attempt = 1 and outcome <> 'lost'";
    stage
        .eventually("the late verdict is logged", async || {
            stage.database.number(line).await == 1
        })
        .await;
}

both_databases! {
    /// F15.
    async fn a_late_failure_does_not_undo_what_another_worker_delivered(stage: Stage) {
        stage.people(1).await;
        stage.provider.follows(|ask| match ask.number {
            0 => Behaviour::HoldThenRefuse(503),
            _ => Behaviour::Accept,
        });
        let _ = stage.enqueue(letter("late failure", 1)).await;
        let stopped = stage.worker();
        stage.provider.asked(0, 1).await;
        stage.stop(&stopped).await;
        stage.advance().await;
        assert_eq!(stage.dispatcher.deliver_due(10).await.unwrap().sent, 1);
        stage.provider.release();
        stopped.signal("CONT").await;
        first_is_logged(&stage).await;
        assert!(is(&stage, "state = 'delivered' and attempt = 2 and last_error is null and lease_until is null").await);
        stopped.terminate().await;
        stage.ends_well().await;
    }

    /// F15.
    async fn a_late_success_does_not_end_the_attempt_of_another_worker(stage: Stage) {
        stage.people(1).await;
        stage.provider.follows(|ask| match ask.number {
            0 => Behaviour::AcceptThenHold,
            _ => Behaviour::Hang,
        });
        let _ = stage.enqueue(letter("late success", 1)).await;
        let stopped = stage.worker();
        stage.provider.asked(0, 1).await;
        stage.stop(&stopped).await;
        stage.advance().await;
        let other = stage.worker_as(|settings| (settings.mail_millis, settings.attempt_millis) = (60_000, 60_000));
        stage.provider.asked(1, 1).await;
        stage.provider.release();
        stopped.signal("CONT").await;
        first_is_logged(&stage).await;
        // The second attempt still belongs to its worker, whose provider still hangs.
        assert!(is(&stage, "state = 'running' and attempt = 2 and lease_until is not null").await);
        stage.kill(other).await;
        stopped.terminate().await;
        stage.ends_well().await;
        assert_eq!(stage.provider.ledger().answered(Answered::Repeated), 1);
        assert!(is(&stage, "state = 'delivered' and attempt = 3").await);
    }
}
