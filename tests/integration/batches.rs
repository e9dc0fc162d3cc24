//! Batches of a channel whose provider recognizes keys: deliveries that may have been sent together are retried together, under
//! the same key.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use campanile::channel::{DeliveryError, ErrorClass, Verdict};
use campanile::operate::{DeliveryFilter, DeliveryState};
use campanile::preferences::Choice;
use campanile::{Dispatcher, NotifiableEvent as _, Worker};
use campanile_pigeon::{Flight, PIGEON, PigeonSettings};
use campanile_tests::events::PigeonExpected;
use campanile_tests::{App, Running, both_databases};

/// Which delivery was sent under which key.
type Seen = Arc<Mutex<Vec<(Option<String>, String)>>>;

/// A dispatcher whose lofts accept three scrolls and answer with this verdict.
fn lofts(app: &App, verdict: &Verdict) -> (Dispatcher, Seen) {
    lofts_of(3, app, verdict)
}

fn lofts_of(scrolls: usize, app: &App, verdict: &Verdict) -> (Dispatcher, Seen) {
    let (seen, verdict) = (Seen::default(), verdict.clone());
    let note = Arc::clone(&seen);
    let mut pigeons = PigeonSettings::new(move |delivery| {
        let line = (delivery.batch_key(), delivery.user_id.clone());
        note.lock().unwrap().push(line);
        Flight::Ends(verdict.clone())
    });
    pigeons.loft = scrolls;
    let keyed = app.builder().with(pigeons).tune(&PIGEON, |policy| {
        policy
            .key_lifetime(Duration::from_hours(24))
            .concurrency(1)
            .batch(2)
    });
    (keyed.build().unwrap(), seen)
}

fn take(seen: &Seen) -> Vec<(Option<String>, String)> {
    let mut seen = std::mem::take(&mut *seen.lock().unwrap());
    seen.sort();
    seen
}

async fn enqueue(app: &App, subject: &str, users: usize) {
    let users: Vec<_> = (0..users).map(|n| format!("u_{n}")).collect();
    for user in &users {
        app.address(user, "pigeon", "tower").await;
    }
    let notice = PigeonExpected::default().about(subject).to(&users);
    let _ = app.dispatcher.enqueue(notice).await.unwrap();
}

both_databases! {
    async fn a_batch_whose_answer_is_lost_is_retried_unchanged(app: App) {
        enqueue(&app, "a", 5).await;
        let (first, seen) = lofts(&app, &Verdict::unknown("no answer"));
        assert_eq!(first.deliver_due(100).await.unwrap().claimed, 5);
        let before = take(&seen);
        assert!(before.iter().all(|mail| mail.0.is_some()), "{before:?}");
        // Others join the queue, and another process takes over, one delivery at a time.
        enqueue(&app, "b", 4).await;
        app.database.advance_deliveries().await;
        let (second, seen) = lofts(&app, &Verdict::accepted());
        let mut after = Vec::new();
        while second.deliver_due(1).await.unwrap().claimed > 0 {
            after.extend(take(&seen));
        }
        assert_eq!(after.len(), 9);
        after.retain(|mail| before.contains(mail));
        after.sort();
        assert_eq!(after, before);
        let settled = "select count(*) from {campanile}notification_deliveries where state = 'delivered' and batch_id is null";
        assert_eq!(app.database.number(settled).await, 9);
    }

    async fn a_batch_of_a_process_that_died_is_retried_unchanged(app: App) {
        enqueue(&app, "a", 3).await;
        let (first, seen) = lofts(&app, &Verdict::accepted());
        first.deliver_due(100).await.unwrap();
        let before = take(&seen);
        // As if it had died before it could record that.
        let key = before[0].0.as_deref().unwrap().strip_prefix("cmp_batch_").unwrap();
        app.database.execute(&format!(
            "update {{campanile}}notification_deliveries set state = 'running', attempt = 1, batch_id = {{uuid('{key}')}}, \
             worker = {{uuid('{key}')}}, lease_until = {{earlier(1)}}, finished_at = null"
        )).await;
        let (second, seen) = lofts(&app, &Verdict::accepted());
        assert_eq!(second.deliver_due(1).await.unwrap().claimed, 3);
        assert_eq!(take(&seen), before);
        let lost = "select count(*) from {campanile}notification_attempts where attempt = 1";
        assert_eq!(app.database.number(lost).await, 3);
    }

    async fn a_recipient_who_has_opted_out_meanwhile_is_not_in_the_batch_any_more(app: App) {
        enqueue(&app, "a", 3).await;
        let (first, seen) = lofts(&app, &Verdict::unknown("no answer"));
        first.deliver_due(100).await.unwrap();
        let before = take(&seen);
        app.choose("u_1", "loft", "pigeon", Choice::Off).await;
        app.database.advance_deliveries().await;
        let (second, seen) = lofts(&app, &Verdict::accepted());
        second.deliver_due(100).await.unwrap();
        let rest: Vec<_> = before.into_iter().filter(|mail| mail.1 != "u_1").collect();
        assert_eq!(take(&seen), rest);
        // It may have been sent before.
        let unknown = "select count(*) from {campanile}notification_deliveries where state = 'unknown' and user_id = 'u_1'";
        assert_eq!(app.database.number(unknown).await, 1);
    }

    async fn a_batch_that_was_certainly_not_accepted_is_regrouped(app: App) {
        enqueue(&app, "a", 2).await;
        let (first, seen) = lofts(&app, &Verdict::retry("busy"));
        first.deliver_due(100).await.unwrap();
        let before = take(&seen);
        enqueue(&app, "b", 1).await;
        app.database.advance_deliveries().await;
        let (second, seen) = lofts(&app, &Verdict::accepted());
        second.deliver_due(100).await.unwrap();
        let after = take(&seen);
        assert_eq!(after.len(), 3);
        assert!(after.iter().all(|mail| mail.0 == after[0].0 && mail.0 != before[0].0), "{after:?}");
    }

    async fn deliveries_that_were_refused_together_are_retried_one_by_one(app: App) {
        enqueue(&app, "a", 3).await;
        let refused = DeliveryError::new("one of them").with_class(ErrorClass::Refused);
        let (first, seen) = lofts(&app, &Verdict::retry(refused));
        first.deliver_due(100).await.unwrap();
        assert!(take(&seen).iter().all(|mail| mail.0.is_some()));
        app.database.advance_deliveries().await;
        let (second, seen) = lofts(&app, &Verdict::accepted());
        assert_eq!(second.deliver_due(100).await.unwrap().sent, 3);
        assert!(take(&seen).iter().all(|mail| mail.0.is_none()));
    }

    async fn a_batch_is_sent_without_a_cancelled_member(app: App) {
        enqueue(&app, "a", 3).await;
        let (first, seen) = lofts(&app, &Verdict::unknown("no answer"));
        first.deliver_due(100).await.unwrap();
        let before = take(&seen);
        let all = app.dispatcher.operations().deliveries(DeliveryFilter::default()).await.unwrap();
        // The first of it is the oldest.
        let cancelled = all.last().unwrap();
        app.dispatcher.operations().cancel_delivery(cancelled.id).await.unwrap();
        app.database.advance_deliveries().await;
        let (second, seen) = lofts(&app, &Verdict::accepted());
        assert_eq!(second.deliver_due(1).await.unwrap().sent, 2);
        let rest: Vec<_> = before.into_iter().filter(|mail| mail.1 != cancelled.user_id).collect();
        assert_eq!(take(&seen), rest);
    }

    async fn a_member_with_an_unknown_event_parks_the_batch_until_the_event_is_known(app: App) {
        enqueue(&app, "a", 3).await;
        let (first, seen) = lofts(&app, &Verdict::unknown("no answer"));
        first.deliver_due(100).await.unwrap();
        let before = take(&seen);
        app.database.advance_deliveries().await;
        app.database.execute("update {campanile}notification_dispatches set event_type = 'a.b.c'").await;
        assert_eq!(first.deliver_due(100).await.unwrap().claimed, 3);
        let parked = "select count(*) from {campanile}notification_deliveries where state = 'blocked' and batch_id is not null";
        assert_eq!(app.database.number(parked).await, 3);
        app.database.execute("update {campanile}notification_dispatches set event_type = 'loft.pigeon.expected'").await;
        // A pause applies to parked deliveries too.
        app.dispatcher.operations().pause_channel("pigeon", "closed").await.unwrap();
        let (second, seen) = lofts(&app, &Verdict::accepted());
        assert_eq!(second.deliver_due(100).await.unwrap().claimed, 0);
        app.dispatcher.operations().resume_channel("pigeon").await.unwrap();
        assert_eq!(second.deliver_due(1).await.unwrap().sent, 3);
        assert_eq!(take(&seen), before);
    }

    async fn a_mixed_batch_is_not_claimed_until_the_events_of_all_its_members_are_known(app: App) {
        for subject in ["known", "unknown"] {
            enqueue(&app, subject, 1).await;
        }
        let (first, seen) = lofts(&app, &Verdict::unknown("no answer"));
        first.deliver_due(100).await.unwrap();
        let before = take(&seen);
        app.database.advance_deliveries().await;
        let rename = "update {campanile}notification_dispatches set event_type = ";
        app.database.execute(&format!("{rename} 'a.b.c' where subject_id = 'unknown'")).await;
        assert_eq!(first.deliver_due(100).await.unwrap().claimed, 2);
        let parked = "state = 'blocked' and blocked_as = 'event' and batch_id is not null and attempt = 1";
        assert_eq!(app.database.deliveries(parked).await, 2);
        // Each poll ends, and claims neither of them.
        let look = tokio::time::timeout(Duration::from_secs(10), first.deliver_due(100)).await;
        assert_eq!(look.expect("a poll ends").unwrap().claimed, 0);
        // A worker with one task delivers the other deliveries.
        let (second, seen) = lofts(&app, &Verdict::accepted());
        let worker = Worker::new(second.clone()).tasks(1).poll_interval(Duration::from_millis(10));
        let worker = Running::start_as(worker);
        enqueue(&app, "another", 1).await;
        app.eventually(async || app.database.deliveries("state = 'delivered'").await == 1).await;
        worker.stop().await;
        assert_eq!(take(&seen), [(None, "u_0".to_owned())]);
        assert_eq!(app.database.deliveries(parked).await, 2);
        app.database.execute(&format!("{rename} 'loft.pigeon.expected'")).await;
        assert_eq!(second.deliver_due(1).await.unwrap().sent, 2);
        assert_eq!(take(&seen), before);
    }

    async fn a_batch_that_a_smaller_loft_cannot_repeat_ends_as_unknown_for_an_operator_to_decide(app: App) {
        enqueue(&app, "a", 3).await;
        let (first, _) = lofts(&app, &Verdict::unknown("no answer"));
        first.deliver_due(100).await.unwrap();
        app.database.advance_deliveries().await;
        let (smaller, seen) = lofts_of(2, &app, &Verdict::accepted());
        smaller.deliver_due(100).await.unwrap();
        assert!(take(&seen).is_empty());
        for delivery in app.dispatcher.operations().deliveries(DeliveryFilter::default()).await.unwrap() {
            assert_eq!(delivery.state, DeliveryState::Unknown);
            app.dispatcher.operations().retry_delivery(delivery.id).await.unwrap();
        }
        smaller.deliver_due(100).await.unwrap();
        assert_eq!(take(&seen).len(), 3);
    }

    async fn a_single_delivery_is_sent_under_its_own_key(app: App) {
        enqueue(&app, "a", 1).await;
        let (dispatcher, seen) = lofts(&app, &Verdict::accepted());
        dispatcher.deliver_due(100).await.unwrap();
        assert_eq!(take(&seen), [(None, "u_0".to_owned())]);
    }
}
