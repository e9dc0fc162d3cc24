//! `GET /inbox/events`: changes of an inbox are sent to its own connections, and to no others.

use std::time::Duration;

use axum::http::Method;
use campanile::NotifiableEvent as _;
use campanile::database::each_database;
use campanile_tests::events::PigeonExpected;
use campanile_tests::{Kind, TestDatabase, both_databases};
use campanile_web::Settings;
use serde_json::json;
use sqlx::Executor as _;

use crate::listener::events;
use crate::site::{Site, request};

/// Polls only once an hour, so that changes are found only when they are announced.
pub(crate) fn without_polling() -> Settings {
    Settings::default()
        .rate(10_000, 10_000)
        .live_poll_interval(Duration::from_hours(1))
}

/// Polls often, so that changes are found soon without being announced.
pub(crate) fn by_polling() -> Settings {
    without_polling().live_poll_interval(Duration::from_millis(20))
}

fn notice(title: &str, user: &str) -> campanile::Notice {
    let event = PigeonExpected {
        title: title.into(),
        text: "-".into(),
    };
    event.about(title).to([user])
}

both_databases! {
    async fn a_created_or_changed_item_is_sent_with_the_counts(database: TestDatabase) {
        let site = Site::with(database, without_polling()).await;
        let response = site.respond(events("u_ada", "")).await;
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "private, no-store, no-transform");
        assert_eq!(response.headers()["x-accel-buffering"], "no");
        let mut ada = crate::listener::Listener::over(response.into_body());
        let first = ada.next().await.unwrap();
        assert_eq!((first.event.as_str(), &first.data), ("counts", &site.get("u_ada", "/inbox/counts").await.json));
        let id = site.tell("u_ada", "hello").await;
        let created = ada.next().await.unwrap();
        assert_eq!((created.event.as_str(), &created.data), ("created", &site.get("u_ada", "/inbox").await.json["items"][0]));
        ada.expect(&["counts 1"]).await;
        let marked = site.patch("u_ada", &format!("/inbox/{id}"), json!({ "read": true })).await;
        let updated = ada.next().await.unwrap();
        assert_eq!((updated.event.as_str(), &updated.data), ("updated", &marked.json["item"]));
        assert_eq!(ada.next().await.unwrap().data, marked.json["counts"]);
        site.patch("u_ada", &format!("/inbox/{id}"), json!({ "read": false, "archived": true })).await;
        ada.expect(&["updated hello", "counts 0"]).await;
    }

    async fn marking_all_sends_each_item_or_a_reset(database: TestDatabase) {
        let site = Site::with(database, without_polling()).await;
        site.tell("u_ada", "one").await;
        let shown = json!({ "asOf": site.as_of("u_ada").await });
        let mut ada = site.listen("u_ada").await;
        site.post("u_ada", "/inbox/seen", shown.clone()).await.expect(200);
        ada.expect(&["updated one", "counts 1"]).await;
        site.post("u_ada", "/inbox/read-all", shown.clone()).await.expect(200);
        ada.expect(&["updated one", "counts 0"]).await;
        let many = (0..30).map(|n| notice(&n.to_string(), "u_ada"));
        site.app.dispatcher.enqueue_all(many).await.unwrap();
        ada.expect(&["reset", "counts 30"]).await;
        let shown = json!({ "asOf": site.as_of("u_ada").await });
        site.post("u_ada", "/inbox/read-all", shown).await.expect(200);
        ada.expect(&["reset", "counts 0"]).await;
    }

    async fn nobody_gets_events_of_another_users_inbox(database: TestDatabase) {
        let site = Site::with(database, without_polling()).await;
        let [mut ada, mut bob, mut other_tab] =
            [site.listen("u_ada").await, site.listen("u_bob").await, site.listen("u_ada").await];
        let id = site.tell("u_ada", "hers").await;
        for tab in [&mut ada, &mut other_tab] {
            tab.expect(&["created hers", "counts 1"]).await;
        }
        site.patch("u_bob", &format!("/inbox/{id}"), json!({ "read": true })).await.expect_problem(404, "unknown-notification");
        site.patch("u_ada", &format!("/inbox/{id}"), json!({ "read": true })).await.expect(200);
        for tab in [&mut ada, &mut other_tab] {
            tab.expect(&["updated hers", "counts 0"]).await;
        }
        site.tell("u_bob", "his").await;
        bob.expect(&["created his", "counts 1"]).await;
    }

    async fn a_connection_for_an_organization_gets_only_its_events(database: TestDatabase) {
        let site = Site::with(database, without_polling()).await;
        let mut all = site.listen("u_ada").await;
        let mut there = site.listen_to(events("u_ada", "?org=org_2")).await;
        let session = request(Method::GET, "/inbox/events").header("x-session", "u_ada").header("x-org", "org_1");
        let mut here = site.listen_to(session.body(axum::body::Body::empty()).unwrap()).await;
        site.tell_in("u_ada", "one", "org_1").await;
        for listener in [&mut all, &mut here] {
            listener.expect(&["created one", "counts 1"]).await;
        }
        site.tell_in("u_ada", "two", "org_2").await;
        all.expect(&["created two", "counts 2"]).await;
        there.expect(&["created two", "counts 1"]).await;
        site.tell_in("u_ada", "three", "org_1").await;
        here.expect(&["created three", "counts 2"]).await;
    }

    async fn an_item_that_commits_late_is_sent_when_it_commits(database: TestDatabase) {
        let site = Site::with(database, by_polling()).await;
        let mut ada = site.listen("u_ada").await;
        each_database!(&site.app.database.database, |pool| {
            let mut transaction = pool.begin_with(site.app.begin()).await.unwrap();
            let _ = site.app.dispatcher.enqueue_in(&mut transaction, notice("late", "u_ada")).await.unwrap();
            // On SQLite nobody else can write in the meantime.
            if site.app.database.kind == Kind::Postgres {
                site.tell("u_ada", "early").await;
                ada.expect(&["created early", "counts 1"]).await;
                site.tell("u_ada", "early too").await;
                ada.expect(&["created early too", "counts 2"]).await;
            }
            transaction.commit().await.unwrap();
        });
        assert_eq!(ada.hear().await, "created late");
    }

    async fn changes_during_a_database_failure_are_sent_afterwards(database: TestDatabase) {
        let site = Site::with(database, by_polling()).await;
        let mut ada = site.listen("u_ada").await;
        let table = "alter table {campanile}notifications";
        each_database!(&site.app.database.database, |pool| {
            let mut transaction = pool.begin_with(site.app.begin()).await.unwrap();
            let _ = site.app.dispatcher.enqueue_in(&mut transaction, notice("hidden", "u_ada")).await.unwrap();
            let hide = site.app.database.database.sql(&format!("{table} rename column action_url to hidden"));
            transaction.execute(hide).await.unwrap();
            transaction.commit().await.unwrap();
        });
        site.get("u_ada", "/inbox").await.expect(500);
        // The query makes a pooled connection read the current schema first, because SQLite's renaming does not check it.
        let show = format!("select count(*) from {{campanile}}notifications; {table} rename column hidden to action_url");
        site.app.database.execute(&show).await;
        ada.expect(&["created hidden", "counts 1"]).await;
    }

    async fn an_announced_commit_is_sent_at_once(database: TestDatabase) {
        let site = Site::with(database, without_polling()).await;
        let mut ada = site.listen("u_ada").await;
        each_database!(&site.app.database.database, |pool| {
            let mut transaction = pool.begin_with(site.app.begin()).await.unwrap();
            let _ = site.app.dispatcher.enqueue_in(&mut transaction, notice("invited", "u_ada")).await.unwrap();
            transaction.commit().await.unwrap();
        });
        site.app.dispatcher.announce_commit();
        ada.expect(&["created invited", "counts 1"]).await;
    }

    async fn a_reconnect_gets_the_current_counts_and_no_repeats(database: TestDatabase) {
        let site = Site::with(database, without_polling()).await;
        drop(site.listen("u_ada").await);
        site.tell("u_ada", "missed").await;
        let response = site.respond(events("u_ada", "")).await;
        let mut ada = crate::listener::Listener::over(response.into_body());
        ada.expect(&["counts 1"]).await;
        assert_eq!(site.get("u_ada", "/inbox").await.titles(), ["missed"]);
        site.tell("u_ada", "heard").await;
        ada.expect(&["created heard", "counts 2"]).await;
    }

    async fn a_slow_client_gets_a_reset_and_delays_nobody(database: TestDatabase) {
        let site = Site::with(database, without_polling()).await;
        let [mut fast, mut slow] = [site.listen("u_ada").await, site.listen("u_ada").await];
        for n in 1..=40 {
            site.tell("u_ada", &n.to_string()).await;
            fast.expect(&[&format!("created {n}"), &format!("counts {n}")]).await;
        }
        // Of the eighty events it gets the last thirty-two.
        slow.expect(&["reset"]).await;
        for n in 25..=40 {
            slow.expect(&[&format!("created {n}"), &format!("counts {n}")]).await;
        }
        site.tell("u_ada", "next").await;
        slow.expect(&["created next", "counts 41"]).await;
    }

    async fn each_user_has_a_limit_of_connections(database: TestDatabase) {
        let site = Site::with(database, without_polling().live_connections(2)).await;
        let [one, mut two] = [site.listen("u_ada").await, site.listen_to(events("u_ada", "?org=org_1")).await];
        let refused = site.send(events("u_ada", "")).await;
        refused.expect_problem(429, "too-many-connections");
        assert_eq!(refused.headers["retry-after"], "20");
        site.listen("u_bob").await;
        drop(one);
        let _three = site.listen("u_ada").await;
        site.send(events("u_ada", "")).await.expect_problem(429, "too-many-connections");
        site.tell("u_ada", "x").await;
        two.expect(&["created x", "counts 1"]).await;
    }

    async fn connecting_counts_as_a_request(database: TestDatabase) {
        let site = Site::with(database, without_polling().rate(1, 2)).await;
        let _open = [site.listen("u_ada").await, site.listen("u_ada").await];
        site.send(events("u_ada", "")).await.expect_problem(429, "too-many-requests");
    }

    async fn an_idle_connection_gets_heartbeats_with_their_interval(database: TestDatabase) {
        let settings = without_polling().live_heartbeat(Duration::from_millis(20));
        let site = Site::with(database, settings).await;
        let mut ada = site.listen("u_ada").await;
        // It is an event and not a comment, because a browser does not pass comments to a page.
        for _ in 0..3 {
            assert_eq!(ada.block().await.unwrap(), "event: heartbeat\ndata: {\"everyMs\":20}");
        }
        site.tell("u_ada", "x").await;
        ada.expect(&["created x", "counts 1"]).await;
    }
}
