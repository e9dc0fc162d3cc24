//! The brake: a provider that accepts few calls, or none for a while, does not get many more calls than it accepts; untried
//! deliveries are unchanged, and everything is sent soon after the limit is gone.

use std::time::{Duration, Instant};

use campanile::channel::{DeliveryError, Verdict};
use campanile::{Dispatcher, NotifiableEvent as _};
use campanile_pigeon::{Flight, PigeonSettings};
use campanile_tests::events::PigeonAlone;
use campanile_tests::outside::{LetterCame, Mails, Outside, Pigeons};
use campanile_tests::provider::{Behaviour, Keys, Ledger, Provider};
use campanile_tests::{App, Kind, Running, both_databases};
use tempfile::TempDir;

/// How many mails wait.
const BACKLOG: usize = 2_000;

/// A provider with a backlog of mails, one call for each, and eight calls at once.
struct Crowd {
    provider: Provider,
    dispatcher: Dispatcher,
    _folder: TempDir,
}

async fn crowd(app: &App) -> Crowd {
    let provider = Provider::start(Keys::Honoured).await;
    let folder = tempfile::tempdir().unwrap();
    let outside = Outside {
        provider: provider.url.clone(),
        ledger: folder.path().join("pigeons"),
        mails: Mails::Alone,
        pigeons: Pigeons::Arrive,
        mail_millis: 3_000,
        attempt_millis: 10_000,
        lease_millis: 30_000,
        batch: 100,
        threads: 2,
        unknown_events: Vec::new(),
        unlinked: Vec::new(),
    };
    let builder = outside.builder(app.database.database.clone());
    let dispatcher = builder.build().unwrap();
    let users: Vec<_> = (0..BACKLOG).map(|n| format!("c_{n}")).collect();
    let rows: Vec<_> = users.iter().map(|user| [user]).collect();
    let rows = serde_json::json!(rows);
    app.database
        .execute(&format!(
            "insert into {{campanile}}notification_addresses (user_id, channel, address, created_at) \
             select value ->> 0, 'email', (value ->> 0) || '@example.com', {{now}} from {{rows('{rows}')}} as given"
        ))
        .await;
    let letter = LetterCame { text: "x".into() };
    let _ = dispatcher.enqueue(letter.to(&users)).await.unwrap();
    count_updates(app).await;
    Crowd {
        provider,
        dispatcher,
        _folder: folder,
    }
}

/// From now on every version of a delivery's row is counted.
async fn count_updates(app: &App) {
    let statement = match app.database.kind {
        Kind::Postgres => {
            "create table versions (id uuid); \
             create function note_version() returns trigger language plpgsql as $$ begin \
                insert into versions values (new.id); return new; end $$; \
             create trigger note_version after update on campanile.notification_deliveries \
                for each row execute function note_version()"
        }
        Kind::Sqlite => {
            "create table versions (id text); \
             create trigger note_version after update on campanile_notification_deliveries begin \
                insert into versions values (new.id); end"
        }
    };
    app.database.execute(statement).await;
}

/// Accepts two calls in each second, and rejects the others.
fn take_two_a_second(provider: &Provider, retry_after: Option<u64>) {
    let mut window = (Instant::now(), 0);
    provider.follows(move |_| {
        if window.0.elapsed() >= Duration::from_secs(1) {
            window = (Instant::now(), 0);
        }
        window.1 += 1;
        if window.1 <= 2 {
            Behaviour::Accept
        } else {
            Behaviour::Refuse {
                status: 429,
                retry_after,
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

both_databases! {
    /// F35.
    async fn a_provider_with_a_rate_limit_gets_at_most_twice_the_calls_it_accepts(app: App) {
        let crowd = crowd(&app).await;
        take_two_a_second(&crowd.provider, Some(1));
        let worker = Running::start(&crowd.dispatcher);
        crowd.provider.until(|ledger| taken(ledger) >= 24).await;
        worker.stop().await;
        let ledger = crowd.provider.ledger();
        let (calls, taken) = (ledger.entries.len(), taken(&ledger));
        assert!(calls <= 2 * taken, "{calls} calls, {taken} taken");
        // Only accepted mails use attempts, and untried deliveries are unchanged.
        assert_eq!(app.database.deliveries("attempt > uncounted and state <> 'delivered'").await, 0);
        let untouched = app.database.deliveries("attempt = 0 and state = 'pending' and run_at = created_at").await;
        assert!(usize::try_from(untouched).unwrap() >= BACKLOG - calls, "{untouched} untouched, {calls} calls");
        let logged = app.database.count("notification_attempts").await;
        assert_eq!(usize::try_from(logged).unwrap(), calls);
        let versions = app.database.number("select count(*) from versions").await;
        assert!(usize::try_from(versions).unwrap() <= 2 * 200 + 6 * calls, "{versions} row versions for {calls} calls");
        // The limit is gone.
        crowd.provider.always(Behaviour::Accept);
        let worker = Running::start(&crowd.dispatcher);
        crowd.provider.until(|ledger| ledger.mails() >= 300).await;
        worker.stop().await;
    }

    async fn a_provider_that_does_not_say_when_to_retry_is_called_at_growing_intervals(app: App) {
        for status in [429, 503] {
            let crowd = crowd(&app).await;
            crowd.provider.always(Behaviour::refuse(status));
            let worker = Running::start(&crowd.dispatcher);
            // The first burst, and probes: the pauses double, so that the last of these took seconds.
            crowd.provider.asked(0, 8).await;
            tokio::time::sleep(Duration::from_secs(6)).await;
            let calls = crowd.provider.ledger().entries.len();
            assert!(calls <= 8 + 8 + 6, "{calls} calls with {status}");
            crowd.provider.always(Behaviour::Accept);
            crowd.provider.until(|ledger| ledger.mails() >= 100).await;
            worker.stop().await;
            app.database.execute("delete from {campanile}notification_deliveries").await;
            app.database.execute("delete from {campanile}notification_dedup").await;
            app.database.execute("delete from {campanile}notification_addresses").await;
            let drop_trigger = match app.database.kind {
                Kind::Postgres => "drop trigger note_version on campanile.notification_deliveries; drop function note_version; drop table versions",
                Kind::Sqlite => "drop trigger note_version; drop table versions",
            };
            app.database.execute(drop_trigger).await;
        }
    }

    async fn while_the_brake_is_applied_nothing_is_claimed_and_a_dispatch_leaves_its_deliveries_queued(app: App) {
        for asked in [3_600, u64::MAX / 2] {
            let pigeons = PigeonSettings::new(move |_| Flight::Ends(Verdict::Retry {
                after: Some(Duration::from_secs(asked)),
                error: DeliveryError::new("slow down").with_status(429),
            }));
            let slowed = app.builder().with(pigeons.clone()).build().unwrap();
            let notice = |subject: &str| PigeonAlone { text: "x".into() }.about(format!("{subject}{asked}")).to(["u_ada"]);
            assert_eq!(slowed.dispatch(notice("first")).await.unwrap().failed, 1);
            let refused = "state = 'pending' and attempt = 1 and uncounted = 1 and run_at > {later(60000000)}";
            assert_eq!(app.database.deliveries(refused).await, 1);
            let report = slowed.dispatch(notice("second")).await.unwrap();
            assert_eq!((report.queued, report.failed), (1, 0));
            let _ = app.dispatcher.enqueue(notice("third")).await.unwrap();
            for _ in 0..3 {
                assert_eq!(slowed.deliver_due(10).await.unwrap().claimed, 0);
            }
            assert_eq!(app.database.deliveries("state = 'pending' and attempt = 0 and run_at = created_at").await, 2);
            // Another process does not know about it, and delivers due deliveries.
            assert_eq!(app.dispatcher.deliver_due(10).await.unwrap().sent, 2);
            app.database.execute("delete from {campanile}notification_deliveries").await;
        }
    }

    async fn a_failure_of_one_recipient_does_not_slow_the_channel(app: App) {
        // Greylisted, say: no class, and no status of an outage.
        let pigeons = PigeonSettings::new(|delivery| Flight::Ends(if delivery.user_id == "u_eve" {
            Verdict::accepted()
        } else {
            Verdict::retry(DeliveryError::new("later").with_status(451))
        }));
        let dispatcher = app.builder().with(pigeons).build().unwrap();
        let users: Vec<_> = (0..20).map(|n| format!("p_{n}")).collect();
        for user in &users {
            app.address(user, "pigeon", "tower").await;
        }
        let notice = || PigeonAlone { text: "x".into() };
        assert_eq!(dispatcher.dispatch(notice().about("a").to(&users)).await.unwrap().failed, 20);
        assert_eq!(dispatcher.dispatch(notice().about("b").to(["u_eve"])).await.unwrap().sent, 1);
    }
}
