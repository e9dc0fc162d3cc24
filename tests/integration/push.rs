//! Push: several devices, no device, a dead device.

use std::collections::HashSet;

use campanile::NotifiableEvent as _;
use campanile::{Outcome, async_trait};
use campanile_push::{Answer, Message, Provider, PushSettings};
use campanile_tests::{App, both_databases};

/// Knows no token that begins with `gone`.
struct Forgetful;

#[async_trait]
impl Provider for Forgetful {
    async fn push(&self, message: &Message) -> Answer {
        if message.token.starts_with("gone") {
            Answer::TokenGone
        } else {
            Answer::Accepted
        }
    }
}

both_databases! {
    async fn every_device_of_a_user_is_asked_under_a_key_of_its_own(app: App) {
        app.address("u_ada", "push", "token_tablet").await;
        let report = app.dispatcher.dispatch(app.password_changed().to(["u_ada"])).await.unwrap();
        assert_eq!(report.sent, 3);
        let messages = app.pushes();
        let tokens: HashSet<_> = messages.iter().map(|message| message.token.as_str()).collect();
        assert_eq!(tokens, HashSet::from(["token_u_ada", "token_tablet"]));
        assert_ne!(messages[0].idempotency_key, messages[1].idempotency_key);
        assert!(messages[0].idempotency_key.starts_with("cmp_"));
        assert_eq!((messages[0].title.as_str(), messages[0].body.as_str()), ("Password changed", "From laptop."));
    }

    async fn a_user_without_a_device_is_unreachable_and_gets_the_rest(app: App) {
        let report = app.dispatcher.dispatch(app.password_changed().to(["u_nobody"])).await.unwrap();
        assert_eq!((report.sent, report.unreachable, report.failed), (1, 2, 0));
        let push = report.outcomes.iter().find(|line| line.channel == "push").unwrap();
        assert_eq!(push.outcome, Outcome::Unreachable);
        let parked = "select count(*) from {campanile}notification_deliveries where state = 'unreachable'";
        assert_eq!(app.database.number(parked).await, 2);
    }

    async fn a_token_the_provider_no_longer_knows_is_forgotten(app: App) {
        let dispatcher = app.builder().with(PushSettings::new(Forgetful)).build().unwrap();
        app.address("u_ada", "push", "gone_1").await;
        app.address("u_eve", "push", "gone_2").await;
        let report = dispatcher.dispatch(app.password_changed().to(["u_ada", "u_eve"])).await.unwrap();
        let outcomes: Vec<_> = report.outcomes.iter().filter(|line| line.channel == "push").map(|line| line.outcome.as_str()).collect();
        assert_eq!(outcomes, ["sent", "unreachable"]);
        let left = "select count(*) from {campanile}notification_addresses where address like 'gone%'";
        assert_eq!(app.database.number(left).await, 0);
    }
}
