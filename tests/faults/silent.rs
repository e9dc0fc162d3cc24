//! F10: a provider that hangs, answers byte by byte, or never stops answering.

use campanile_tests::both_databases;
use campanile_tests::outside::Mails;
use campanile_tests::provider::Behaviour;

use crate::stage::{Stage, bell};

both_databases! {
    /// F10.
    async fn a_provider_that_hangs_or_never_finishes_answering_delays_only_its_own_mails(stage: Stage) {
        stage.people(2).await;
        for behaviour in [Behaviour::Hang, Behaviour::Drip, Behaviour::Endless] {
            for mails in [Mails::Alone, Mails::Together] {
                stage.provider.always(behaviour);
                let dispatcher = stage.dispatcher_as(|settings| (settings.mails, settings.mail_millis) = (mails, 1_200));
                let text = format!("{behaviour:?} {mails:?}");
                let report = stage.keep(dispatcher.dispatch(bell(&text, 2)).await.unwrap());
                let of = |channel: &str| {
                    let lines = report.outcomes.iter().filter(|line| line.channel == channel);
                    lines.map(|line| line.outcome.as_str()).collect::<Vec<_>>()
                };
                assert_eq!((of("inbox"), of("pigeon")), (vec!["sent"; 2], vec!["sent"; 2]), "{text}");
                // A single mail with an accepted status was accepted, however its answer ends; for a batch that is unknown.
                let heard = mails == Mails::Alone && behaviour != Behaviour::Hang;
                assert_eq!(of("email"), vec![if heard { "sent" } else { "failed" }; 2], "{text}");
                stage.ends_well().await;
            }
        }
        assert_eq!(stage.in_state("delivered").await, 6 * 4);
    }
}
