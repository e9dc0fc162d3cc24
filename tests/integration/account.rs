//! The counts of a report add up, whatever was fired, muted, suppressed, unreachable or repeated.

use std::collections::{BTreeSet, HashSet};

use campanile::preferences::Choice;
use campanile::{DispatchReport, NotifiableEvent as _, Outcome};
use campanile_tests::events::PigeonExpected;
use campanile_tests::{App, both_databases};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

/// One dispatch: a subject, recipients (with repeats), and the cells to change before it.
#[derive(Debug, Clone)]
struct Fire {
    subject: u8,
    recipients: Vec<u8>,
    switches: Vec<(u8, &'static str, bool)>,
}

fn fires() -> impl Strategy<Value = Vec<Fire>> {
    let switch = (
        0..8_u8,
        prop::sample::select(vec!["inbox", "pigeon"]),
        any::<bool>(),
    );
    let fire = (
        0..3_u8,
        prop::collection::vec(0..8_u8, 0..10),
        prop::collection::vec(switch, 0..4),
    )
        .prop_map(|(subject, recipients, switches)| Fire {
            subject,
            recipients,
            switches,
        });
    prop::collection::vec(fire, 1..12)
}

fn assert_balanced(report: &DispatchReport, recipients: &[u8]) {
    let distinct: BTreeSet<_> = recipients.iter().collect();
    assert_eq!(report.recipients, distinct.len());
    assert_eq!(report.repeated_ids, recipients.len() - distinct.len());
    assert_eq!(
        report.recipients,
        report.admitted + report.deduped + report.fully_suppressed + report.fully_failed
    );
    let pairs: HashSet<_> = report
        .outcomes
        .iter()
        .map(|line| (&line.recipient_user_id, line.channel))
        .collect();
    assert_eq!(pairs.len(), report.outcomes.len(), "a pair ends once");
    assert_eq!(pairs.len(), 2 * distinct.len(), "every pair ends");
    let count = |outcome: &Outcome| {
        report
            .outcomes
            .iter()
            .filter(|line| line.outcome == *outcome)
            .count()
    };
    assert_eq!(report.sent, count(&Outcome::Sent));
    assert_eq!(
        report.suppressed_by_prefs,
        count(&Outcome::SuppressedByPrefs)
    );
    assert_eq!(report.unreachable, count(&Outcome::Unreachable));
    assert_eq!(report.dispatch_id.is_some(), report.admitted > 0);
}

both_databases! {
    async fn every_recipient_and_channel_has_one_outcome_and_the_sums_balance(app: App) {
        let mut runner = TestRunner::deterministic();
        for round in 0..25 {
            let fires = fires().new_tree(&mut runner).unwrap().current();
            // The reference model: the windows that are open.
            let mut open = HashSet::new();
            let mut off = HashSet::new();
            for user in 0..8_u8 {
                for channel in ["inbox", "pigeon"] {
                    app.choose(&format!("r{round}_{user}"), "loft", channel, Choice::On).await;
                }
            }
            for fire in fires {
                for (user, channel, enabled) in &fire.switches {
                    let choice = if *enabled { Choice::On } else { Choice::Off };
                    app.choose(&format!("r{round}_{user}"), "loft", channel, choice).await;
                    if *enabled { off.remove(&(*user, *channel)) } else { off.insert((*user, *channel)) };
                }
                let users = fire.recipients.iter().map(|user| format!("r{round}_{user}"));
                let notice = PigeonExpected::default().about(format!("{round}_{}", fire.subject)).to(users);
                let report = app.dispatcher.dispatch(notice).await.unwrap();
                assert_balanced(&report, &fire.recipients);
                let distinct: BTreeSet<u8> = fire.recipients.iter().copied().collect();
                let muted = |user: u8| off.contains(&(user, "inbox")) && off.contains(&(user, "pigeon"));
                let (silent, heard): (Vec<u8>, Vec<u8>) = distinct.into_iter().partition(|user| muted(*user));
                let new: Vec<_> = heard.iter().filter(|user| open.insert((fire.subject, **user))).collect();
                // Nobody here has a perch: a user who muted the inbox cannot be reached, and keeps the window.
                let admitted = new.len();
                assert_eq!((report.fully_suppressed, report.admitted), (silent.len(), admitted), "{fire:?}");
            }
        }
        let items = app.database.count("notifications").await;
        let distinct = app.database.number("select count(distinct id) from {campanile}notifications").await;
        assert_eq!(items, distinct);
        // Windows and notifications match, both ways.
        let orphans = "select count(*) from {campanile}notification_dedup as held \
             where not exists (select 1 from {campanile}notifications as item where item.id = held.notification_id \
             and item.user_id = held.recipient_user_id) \
             and not exists (select 1 from {campanile}notification_deliveries as delivery \
             where delivery.notification_id = held.notification_id and delivery.user_id = held.recipient_user_id)";
        assert_eq!(app.database.number(orphans).await, 0, "a window without its notification");
        let strays = "select count(*) from {campanile}notifications where id not in \
             (select notification_id from {campanile}notification_dedup)";
        assert_eq!(app.database.number(strays).await, 0, "a notification without its window");
    }
}
