//! Mails that the provider accepted although its answer was lost: whatever happens next, they are never reported as failed.

use campanile::preferences::Choice;
use campanile_tests::TestDatabase;
use campanile_tests::both_databases;
use campanile_tests::provider::{Behaviour, Keys};

use crate::stage::{Stage, letter};

/// The first request is accepted and its answer is cut off; every later one is rejected.
fn accept_one_without_an_answer_and_refuse_all_others(stage: &Stage) {
    stage.provider.follows(|ask| match ask.number {
        0 => Behaviour::AcceptThenCut,
        _ => Behaviour::refuse(503),
    });
}

/// Retries until there are no attempts left, each time in a new process: the brake of a process that has detected an outage stays
/// applied for a while.
async fn use_up_attempts(stage: &Stage) {
    for _ in 0..12 {
        stage.end_pauses().await;
        let dispatcher = stage.dispatcher_as(|_| ());
        dispatcher.deliver_due(10).await.unwrap();
    }
}

both_databases! {
    /// F2 and F9 together. O9: it was sent, so it is not dead; its window stays, so that the next fire is a repeat.
    async fn a_mail_that_was_accepted_without_an_answer_and_then_always_refused_ends_as_unknown(stage: Stage) {
        stage.people(1).await;
        accept_one_without_an_answer_and_refuse_all_others(&stage);
        let _ = stage.enqueue(letter("unheard", 1)).await;
        use_up_attempts(&stage).await;
        stage.ends_well().await;
        assert_eq!(stage.in_state("unknown").await, 1);
    }

    /// The same with a worker that died, whose attempt is in no log.
    async fn a_mail_whose_worker_died_and_that_was_then_always_refused_ends_as_unknown(stage: Stage) {
        stage.people(1).await;
        stage.provider.always(Behaviour::AcceptThenHold);
        let _ = stage.enqueue(letter("died", 1)).await;
        let worker = stage.worker();
        stage.provider.asked(0, 1).await;
        stage.kill(worker).await;
        stage.provider.always(Behaviour::refuse(503));
        stage.advance().await;
        use_up_attempts(&stage).await;
        stage.ends_well().await;
        assert_eq!(stage.in_state("unknown").await, 1);
    }

    /// The same with a user who opts out before the next attempt: the opt-out is respected, and the earlier send is not denied.
    async fn a_mail_that_was_accepted_without_an_answer_before_its_user_opted_out_ends_as_unknown(stage: Stage) {
        stage.people(1).await;
        accept_one_without_an_answer_and_refuse_all_others(&stage);
        let _ = stage.enqueue(letter("opted out", 1)).await;
        stage.dispatcher.deliver_due(10).await.unwrap();
        let preferences = stage.dispatcher.preferences_of("u_0").unwrap();
        preferences.set("loft", "email", Choice::Off).await.unwrap();
        stage.end_pauses().await;
        stage.dispatcher.deliver_due(10).await.unwrap();
        assert_eq!(stage.provider.ledger().entries.len(), 1, "the opt-out is respected");
        stage.ends_well().await;
    }

    /// G6, with a provider that ignores keys: the mail is sent once more, because it is unknown whether it arrived.
    async fn a_provider_that_ignores_keys_gets_only_unconfirmed_mails_twice(database: TestDatabase) {
        let stage = Stage::with_keys(database, Keys::Ignored).await;
        stage.people(5).await;
        stage.provider.follows(|ask| if ask.number < 2 { Behaviour::AcceptThenCut } else { Behaviour::Accept });
        let _ = stage.enqueue(letter("ignored", 5)).await;
        stage.dispatcher.deliver_due(10).await.unwrap();
        stage.ends_well().await;
        assert_eq!(stage.provider.ledger().entries.len(), 5 + 2);
        assert_eq!(stage.in_state("delivered").await, 5);
    }
}
