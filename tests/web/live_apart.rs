//! Several processes on one database: each sends its connections the changes of the others.

use campanile::WakeUp;
use campanile_tests::database::run;
use campanile_tests::proxy::CountingProxy;
use campanile_tests::{App, Kind, TestDatabase, both_databases};
use campanile_web::Settings;
use serde_json::json;
use sqlx::postgres::PgPoolOptions;

use crate::live::{by_polling, without_polling};
use crate::site::Site;

/// A site that shares only the database: it has a pool, a dispatcher and a router of its own.
async fn apart(database: &TestDatabase, wake_up: WakeUp, settings: Settings) -> Site {
    let database = TestDatabase {
        database: database.with_connections(5).await,
        ..database.clone()
    };
    let mut app = App::over_database(database).await;
    app.dispatcher = app.builder().wake_up(wake_up).build().unwrap();
    Site::of(app, settings)
}

/// Each site's connections get the other's changes: an item, a mark, many marks.
async fn each_gets_the_others_changes([here, there]: [&Site; 2]) {
    let mut at = [here.listen("u_ada").await, there.listen("u_ada").await];
    let mut unread = 0;
    for (name, site) in [("here", here), ("there", there)] {
        let id = site.tell("u_ada", name).await;
        unread += 1;
        for listener in &mut at {
            let told = [format!("created {name}"), format!("counts {unread}")];
            listener.expect(&[&told[0], &told[1]]).await;
        }
        let path = format!("/inbox/{id}");
        site.patch("u_ada", &path, json!({ "read": true }))
            .await
            .expect(200);
        unread -= 1;
        for listener in &mut at {
            let told = [format!("updated {name}"), format!("counts {unread}")];
            listener.expect(&[&told[0], &told[1]]).await;
        }
    }
}

const LISTENING: &str = "select count(*) from pg_stat_activity \
    where datname = current_database() and query ilike 'listen%campanile_commits%'";

both_databases! {
    async fn processes_see_each_others_changes_by_polling(database: TestDatabase) {
        let here = apart(&database, WakeUp::Polling, by_polling()).await;
        let there = apart(&database, WakeUp::Polling, by_polling()).await;
        each_gets_the_others_changes([&here, &there]).await;
    }
}

#[test]
fn processes_on_postgres_see_each_others_changes_by_notify_alone() {
    run(Kind::Postgres, async |database| {
        let here = apart(&database, WakeUp::Notify, without_polling()).await;
        let there = apart(&database, WakeUp::Notify, without_polling()).await;
        each_gets_the_others_changes([&here, &there]).await;
        // A process without connections does not listen.
        let app = App::without_addresses(database);
        app.eventually(async || app.database.number(LISTENING).await == 0)
            .await;
        let _open = here.listen("u_bob").await;
        app.eventually(async || app.database.number(LISTENING).await == 1)
            .await;
    });
}

#[test]
fn a_poll_is_two_statements_for_any_number_of_connections() {
    run(Kind::Postgres, async |database| {
        let proxy = CountingProxy::before(&database.url).await;
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .test_before_acquire(false);
        let counted = TestDatabase {
            database: pool.connect(&proxy.url).await.unwrap().into(),
            ..database.clone()
        };
        let site = Site::of(App::without_addresses(counted), without_polling());
        let elsewhere = apart(&database, WakeUp::Polling, without_polling()).await;
        let users: Vec<_> = (0..30).map(|n| format!("u_{n}")).collect();
        let mut listeners = Vec::new();
        for user in &users {
            listeners.push(site.listen(user).await);
        }
        for round in ["prepares", "counts"] {
            let _ = proxy.take();
            let event = campanile_tests::events::PigeonExpected {
                title: round.into(),
                text: "-".into(),
            };
            let notice = campanile::NotifiableEvent::about(event, round).to(users.clone());
            let _ = elsewhere.app.dispatcher.enqueue(notice).await.unwrap();
            site.app.dispatcher.announce_commit();
            for listener in &mut listeners {
                assert_eq!(listener.hear().await, format!("created {round}"));
                assert_eq!(listener.next().await.unwrap().event, "counts");
            }
        }
        assert_eq!(proxy.take(), 2, "what is new, and the counts");
    });
}
