//! A provider that refuses: too many requests, and an outage.

use std::time::{Duration, Instant};

use campanile::database::each_database;
use campanile_tests::both_databases;
use campanile_tests::outside::Mails;
use campanile_tests::provider::{Behaviour, Ledger, Provider};

use crate::stage::{Stage, bell, letter};

/// How many mails wait between the two numbers of seconds.
async fn waiting(stage: &Stage, longer: u64, no_longer: u64) -> i64 {
    let count = format!(
        "select count(*) from {{campanile}}notification_deliveries where channel = 'email' and state = 'pending' \
         and run_at > {{later({longer}000000)}} and run_at <= {{later({no_longer}000000)}}"
    );
    stage.database.number(&count).await
}

/// How many mails wait while a worker runs.
const BACKLOG: usize = 1_000;

/// Accepts this many calls in each second, and rejects the others.
fn take_each_second(provider: &Provider, calls: usize) {
    let mut second = (Instant::now(), 0);
    provider.follows(move |_| {
        if second.0.elapsed() >= Duration::from_secs(1) {
            second = (Instant::now(), 0);
        }
        second.1 += 1;
        if second.1 <= calls {
            Behaviour::Accept
        } else {
            Behaviour::Refuse {
                status: 429,
                retry_after: Some(1),
            }
        }
    });
}

fn taken(ledger: &Ledger) -> usize {
    let entries = ledger.entries.iter();
    entries
        .filter(|entry| entry.answered.is_acceptance())
        .count()
}

/// The attempts used by deliveries that were not accepted.
const USED: &str = "select count(*) from {campanile}notification_deliveries \
    where channel = 'email' and state = 'pending' and attempt > uncounted";

both_databases! {
    /// F8 and F35, with a backlog and a worker that runs.
    async fn a_worker_with_a_backlog_makes_at_most_twice_as_many_calls_as_are_accepted(stage: Stage) {
        stage.people(BACKLOG).await;
        take_each_second(&stage.provider, 4);
        let _ = stage.enqueue(letter("a limit", BACKLOG)).await;
        let worker = stage.worker();
        stage.provider.until(|ledger| taken(ledger) >= 40).await;
        let ledger = stage.provider.ledger();
        let (calls, taken) = (ledger.entries.len(), taken(&ledger));
        assert!(calls <= 2 * taken, "{calls} calls, {taken} taken");
        // One may be running.
        assert!(stage.database.number(USED).await <= 8, "a rate-limit error uses no attempt");
        let untried = "select count(*) from {campanile}notification_deliveries where attempt = 0 and state = 'pending'";
        let untried = usize::try_from(stage.database.number(untried).await).unwrap();
        assert!(untried + calls + 20 + 8 >= BACKLOG, "{untried} are untouched after {calls} calls");
        // The limit is gone: the rest is sent without intervention, each in one call.
        stage.provider.always(Behaviour::Accept);
        stage.all_ended().await;
        worker.terminate().await;
        let ledger = stage.provider.ledger();
        assert_eq!(ledger.mails(), BACKLOG);
        assert!(ledger.entries.len() <= BACKLOG + calls, "{} calls", ledger.entries.len());
        stage.ends_well().await;
        assert_eq!(stage.in_state("delivered").await, i64::try_from(BACKLOG).unwrap());
    }

    /// F9, with a backlog and a worker that runs.
    async fn a_worker_with_a_backlog_makes_few_calls_during_an_outage_and_sends_everything_after_it(stage: Stage) {
        stage.people(BACKLOG).await;
        stage.provider.always(Behaviour::refuse(503));
        let _ = stage.enqueue(letter("an outage", BACKLOG)).await;
        let worker = stage.worker();
        stage.provider.asked(0, 8).await;
        tokio::time::sleep(Duration::from_secs(6)).await;
        let calls = stage.provider.ledger().entries.len();
        // The calls that were running when the outage began, and the probes, whose pauses double.
        assert!(calls <= 8 + 8 + 6, "{calls} calls");
        let used = stage.database.number(USED).await;
        assert!(used <= i64::try_from(calls).unwrap(), "only refused calls use an attempt: {used}");
        stage.provider.always(Behaviour::Accept);
        // Those that were refused wait for longer than the others.
        stage.end_pauses().await;
        stage.all_ended().await;
        worker.terminate().await;
        let ledger = stage.provider.ledger();
        assert_eq!(ledger.mails(), BACKLOG);
        assert!(ledger.entries.len() <= BACKLOG + calls + 8, "{} calls", ledger.entries.len());
        stage.ends_well().await;
        assert_eq!(stage.in_state("delivered").await, i64::try_from(BACKLOG).unwrap());
    }

    /// F8.
    async fn rate_limited_requests_are_retried_when_the_provider_says_and_not_before(stage: Stage) {
        stage.people(3).await;
        for (mails, retry_after, longer, no_longer) in [
            (Mails::Alone, Some(600), 400, 600),
            (Mails::Together, Some(600), 400, 600),
            // A delay of years is capped.
            (Mails::Together, Some(1_000_000_000), 7_000, 7_200),
            // Without a time: the first pause of the policy, at most ten seconds.
            (Mails::Alone, None, 0, 10),
        ] {
            stage.provider.always(Behaviour::Refuse { status: 429, retry_after });
            let dispatcher = stage.dispatcher_as(|settings| settings.mails = mails);
            let text = format!("{mails:?} {retry_after:?}");
            let report = stage.keep(dispatcher.dispatch(bell(&text, 3)).await.unwrap());
            assert_eq!((report.failed, report.sent), (3, 6), "the pigeons and the inbox are unaffected");
            if retry_after.is_some() {
                assert_eq!(waiting(&stage, longer, no_longer).await, 3, "{text}");
                assert_eq!(dispatcher.deliver_due(10).await.unwrap().claimed, 0, "not before");
            } else {
                assert_eq!(waiting(&stage, no_longer, 100_000).await, 0, "{text}");
            }
            stage.ends_well().await;
        }
        assert_eq!(stage.in_state("delivered").await, 4 * 6);
    }

    /// F9.
    async fn after_a_long_outage_the_retries_are_spread_out(stage: Stage) {
        stage.people(200).await;
        stage.provider.always(Behaviour::refuse(503));
        let _ = stage.enqueue(letter("outage", 200)).await;
        for _ in 0..4 {
            // A new process each time: the brake of a process that has detected the outage lets only a single probe through.
            let dispatcher = stage.dispatcher_as(|settings| settings.mails = Mails::Together);
            stage.end_pauses().await;
            assert_eq!(dispatcher.deliver_due(200).await.unwrap().claimed, 200);
        }
        assert_eq!(stage.provider.ledger().entries.len(), 4 * 2, "a hundred to a request");
        // After the fourth attempt they are retried anywhere within 80 seconds.
        let run_at = stage.database.database.sql("select {micros(run_at)} from {campanile}notification_deliveries");
        let run_at: Vec<i64> = each_database!(&stage.database.database, |pool| {
            sqlx::query_scalar(run_at).fetch_all(pool).await.unwrap()
        });
        let first = *run_at.iter().min().unwrap();
        let mut tens = [0; 9];
        for at in run_at {
            tens[usize::try_from((at - first) / 10_000_000).unwrap()] += 1;
        }
        let (busy, fullest) = (tens.iter().filter(|crowd| **crowd > 0).count(), tens.iter().max().unwrap());
        assert!(busy >= 7 && *fullest <= 50, "retries in each ten seconds: {tens:?}");
        stage.provider.always(Behaviour::Accept);
        let worker = stage.worker_as(|settings| settings.mails = Mails::Together);
        stage.end_pauses().await;
        stage.all_ended().await;
        worker.terminate().await;
        stage.ends_well().await;
        assert_eq!(stage.in_state("delivered").await, 200);
    }
}
