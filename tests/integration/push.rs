//! Push: several devices, no device, a dead device.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use campanile::NotifiableEvent as _;
use campanile::channel::Verdict;
use campanile::{Outcome, async_trait};
use campanile_push::{Answer, Message, Provider, PushSettings};
use campanile_tests::{App, both_databases};

/// Rejects tokens that begin with `gone` as unknown.
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

/// Answers for each device with a function, and records the token and key of every message.
#[derive(Clone)]
struct Answering {
    answer: fn(&Message) -> Answer,
    asked: Arc<Mutex<Vec<(String, String)>>>,
}

impl Answering {
    fn new(answer: fn(&Message) -> Answer) -> Self {
        Self {
            answer,
            asked: Arc::default(),
        }
    }
}

#[async_trait]
impl Provider for Answering {
    async fn push(&self, message: &Message) -> Answer {
        let asked = (message.token.clone(), message.idempotency_key.clone());
        self.asked.lock().unwrap().push(asked);
        (self.answer)(message)
    }
}

both_databases! {
    async fn every_device_of_a_user_is_sent_to_under_its_own_key(app: App) {
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

    async fn a_user_without_a_device_is_unreachable_and_gets_the_other_channels(app: App) {
        let report = app.dispatcher.dispatch(app.password_changed().to(["u_nobody"])).await.unwrap();
        assert_eq!((report.sent, report.unreachable, report.failed), (1, 2, 0));
        let push = report.outcomes.iter().find(|line| line.channel == "push").unwrap();
        assert_eq!(push.outcome, Outcome::Unreachable);
        let parked = "select count(*) from {campanile}notification_deliveries where state = 'unreachable'";
        assert_eq!(app.database.number(parked).await, 2);
    }

    async fn a_token_that_the_provider_no_longer_knows_is_forgotten(app: App) {
        let dispatcher = app.builder().with(PushSettings::new(Forgetful)).build().unwrap();
        app.address("u_ada", "push", "gone_1").await;
        app.address("u_eve", "push", "gone_2").await;
        let report = dispatcher.dispatch(app.password_changed().to(["u_ada", "u_eve"])).await.unwrap();
        let outcomes: Vec<_> = report.outcomes.iter().filter(|line| line.channel == "push").map(|line| line.outcome.as_str()).collect();
        assert_eq!(outcomes, ["sent", "unreachable"]);
        let left = "select count(*) from {campanile}notification_addresses where address like 'gone%'";
        assert_eq!(app.database.number(left).await, 0);
    }

    async fn the_key_of_a_device_is_the_same_after_another_was_forgotten(app: App) {
        let provider = Answering::new(|message| match message.token.as_str() {
            "gone" => Answer::TokenGone,
            _ => Answer::Failed(Verdict::retry("busy")),
        });
        let dispatcher = app.builder().with(PushSettings::new(provider.clone())).build().unwrap();
        app.address("u_bob", "push", "gone").await;
        app.address("u_bob", "push", "phone").await;
        app.address("u_bob", "push", "tablet").await;
        let _ = dispatcher.dispatch(app.password_changed().to(["u_bob"])).await.unwrap();
        app.database.advance_deliveries().await;
        dispatcher.deliver_due(10).await.unwrap();
        let asked = provider.asked.lock().unwrap().clone();
        let tokens: Vec<_> = asked.iter().map(|(token, _)| token.as_str()).collect();
        assert_eq!(tokens, ["tablet", "phone", "gone", "tablet", "phone"]);
        assert_eq!(asked[0..2], asked[3..5]);
        assert_ne!(asked[0].1, asked[1].1);
    }

    async fn a_push_is_retried_while_a_device_may_get_it_and_delivered_once_one_has_it(app: App) {
        app.address("u_bob", "push", "phone").await;
        app.address("u_bob", "push", "tablet").await;
        let fired = async |answer: fn(&Message) -> Answer| {
            let dispatcher = app.builder().with(PushSettings::new(Answering::new(answer))).build().unwrap();
            let _ = dispatcher.dispatch(app.password_changed().to(["u_bob"])).await.unwrap();
            let state = |state: &str| {
                format!("select count(*) from {{campanile}}notification_deliveries where channel = 'push' and state = '{state}'")
            };
            let mut counts = Vec::new();
            for name in ["pending", "dead", "delivered"] {
                counts.push(app.database.number(&state(name)).await);
            }
            counts
        };
        let mixed = |message: &Message| match message.token.as_str() {
            "phone" => Answer::Failed(Verdict::retry("busy")),
            _ => Answer::Failed(Verdict::permanent("refused")),
        };
        assert_eq!(fired(mixed).await, [1, 0, 0]);
        assert_eq!(fired(|_| Answer::Failed(Verdict::permanent("refused"))).await, [1, 1, 0]);
        let accepted = |message: &Message| match message.token.as_str() {
            "phone" => Answer::Failed(Verdict::accepted()),
            _ => Answer::Failed(Verdict::retry("busy")),
        };
        assert_eq!(fired(accepted).await, [1, 1, 1]);
    }
}
