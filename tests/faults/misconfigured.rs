//! F11: a provider that rejects our API key.

use campanile_tests::both_databases;
use campanile_tests::provider::Behaviour;

use crate::stage::{Stage, bell};

const PAUSED: &str =
    "select count(*) from {campanile}notification_channel_pauses where channel = 'email'";

both_databases! {
    /// F11.
    async fn a_provider_that_rejects_the_api_key_pauses_mail_and_uses_no_attempt(stage: Stage) {
        stage.people(30).await;
        for status in [401, 403] {
            stage.provider.always(Behaviour::refuse(status));
            let seen = stage.provider.ledger().entries.len();
            let _ = stage.enqueue(bell(&format!("refused with {status}"), 30)).await;
            let worker = stage.worker();
            stage.eventually("mail is paused", async || stage.database.number(PAUSED).await == 1).await;
            let pigeons = "select count(*) from {campanile}notification_deliveries where channel = 'pigeon' and state in ('pending', 'running')";
            stage.eventually("pigeons are unaffected", async || stage.database.number(pigeons).await == 0).await;
            // Probes continue, one at a time.
            let running = "select count(*) from {campanile}notification_deliveries where state = 'running'";
            for _ in 0..3 {
                // A running probe would delay the next one.
                stage.eventually("no probe is under way", async || stage.database.number(running).await == 0).await;
                let asked = stage.provider.ledger().entries.len();
                stage.end_pauses().await;
                stage.probe_now().await;
                stage.provider.asked(asked, 1).await;
            }
            stage.eventually("no probe is under way", async || stage.database.number(running).await == 0).await;
            let counted = "select count(*) from {campanile}notification_deliveries where channel = 'email' \
                and state = 'pending' and attempt > uncounted";
            assert_eq!(stage.database.number(counted).await, 0, "no attempt was used");
            let asked = stage.provider.ledger().entries.len() - seen;
            assert!(asked <= 16 + 3, "{asked}: not much more than what was under way at once");
            stage.provider.always(Behaviour::Accept);
            stage.end_pauses().await;
            stage.probe_now().await;
            stage.eventually("mail is resumed", async || stage.database.number(PAUSED).await == 0).await;
            stage.end_pauses().await;
            stage.all_ended().await;
            worker.terminate().await;
            stage.ends_well().await;
        }
        assert_eq!(stage.in_state("delivered").await, 2 * 60);
    }
}
