//! New items in inboxes since the last poll: nothing is missed, in whatever order transactions begin and commit.

use campanile::NotifiableEvent as _;
use campanile::database::each_database;
use campanile_inbox::{Change, Changes, Inbox, Item, Moment, News, Page, Watch};
use campanile_tests::events::PigeonExpected;
use campanile_tests::{App, Kind, both_databases};
use serde_json::json;

use crate::inbox::rows_of_others;

fn inbox(app: &App, user: &str) -> Inbox {
    Inbox::for_user(app.dispatcher.database(), user).unwrap()
}

fn notice(title: &str, user: &str) -> campanile::Notice {
    let event = PigeonExpected {
        title: title.into(),
        text: "-".into(),
    };
    event.about(title).in_org("org_1").to([user])
}

async fn tell(app: &App, user: &str, title: &str) -> Item {
    let _ = app.dispatcher.enqueue(notice(title, user)).await.unwrap();
    app.inbox(user).await.remove(0)
}

async fn begin(app: &App) -> Watch {
    Watch::begin(app.dispatcher.database()).await.unwrap()
}

async fn look_at(watch: &mut Watch, inboxes: &[&Inbox]) -> Vec<News> {
    match watch.look(inboxes).await.unwrap() {
        Changes::News(news) => news,
        changes => panic!("{changes:?}"),
    }
}

/// The titles of created and of updated items.
async fn look(watch: &mut Watch, inbox: &Inbox) -> [String; 2] {
    let news = look_at(watch, &[inbox]).await.remove(0);
    assert!(!news.many);
    [&news.created, &news.updated].map(|items| {
        let titles = items.iter().map(|item| item.title.as_str());
        titles.collect::<Vec<_>>().join(" ")
    })
}

fn told(created: &str, updated: &str) -> [String; 2] {
    [created.to_owned(), updated.to_owned()]
}

async fn as_of(inbox: &Inbox) -> Moment {
    inbox.feed(Page::default()).await.unwrap().as_of
}

async fn mark(inbox: &Inbox, item: &Item) {
    inbox.mark_read(item.id).await.unwrap();
}

both_databases! {
    async fn a_poll_finds_items_created_and_updated_since_the_last_poll_exactly_once(app: App) {
        let ada = inbox(&app, "u_ada");
        let before = tell(&app, "u_ada", "before").await;
        let mut watch = begin(&app).await;
        assert_eq!(look(&mut watch, &ada).await, told("", ""));
        let [one, two] = [tell(&app, "u_ada", "one").await, tell(&app, "u_ada", "two").await];
        assert_eq!(look(&mut watch, &ada).await, told("one two", ""));
        assert_eq!(look(&mut watch, &ada).await, told("", ""));
        mark(&ada, &one).await;
        mark(&ada, &before).await;
        tell(&app, "u_ada", "three").await;
        assert_eq!(look(&mut watch, &ada).await, told("three", "before one"));
        let archive = Change { archived: Some(true), ..Change::default() };
        ada.change(two.id, archive).await.unwrap();
        assert_eq!(look(&mut watch, &ada).await, told("", "two"));
        // An item that was created and read between two polls did not exist at the last one.
        let four = tell(&app, "u_ada", "four").await;
        mark(&ada, &four).await;
        assert_eq!(look(&mut watch, &ada).await, told("four", ""));
        ada.mark_all_seen(&as_of(&ada).await, &[]).await.unwrap();
        assert_eq!(look(&mut watch, &ada).await, told("", "three"));
        ada.mark_all_read(&as_of(&ada).await, &[]).await.unwrap();
        assert_eq!(look(&mut watch, &ada).await, told("", "three"));
        assert_eq!(look(&mut watch, &ada).await, told("", ""));
    }

    async fn a_poll_reports_only_the_changes_of_the_requested_inboxes(app: App) {
        let (ada, bob) = (inbox(&app, "u_ada"), inbox(&app, "u_bob"));
        let (here, there) = (ada.clone().in_org("org_1").unwrap(), ada.clone().in_org("org_2").unwrap());
        let (loft, weather) = (ada.clone().of_category("loft").unwrap(), ada.clone().of_category("weather").unwrap());
        let mut watch = begin(&app).await;
        let item = tell(&app, "u_ada", "hers").await;
        tell(&app, "u_eve", "of somebody who is not looked at").await;
        let inboxes = [&bob, &there, &weather, &ada, &here, &loft];
        let news = look_at(&mut watch, &inboxes).await;
        let found: Vec<_> = news.iter().map(|entry| entry.created.len()).collect();
        assert_eq!(found, [0, 0, 0, 1, 1, 1]);
        assert_eq!(news[3].created[0], item);
        assert_eq!(look_at(&mut watch, &[]).await, []);
    }

    async fn more_than_twenty_items_of_one_user_are_summarized_and_those_of_another_are_not(app: App) {
        let (ada, bob) = (inbox(&app, "u_ada"), inbox(&app, "u_bob"));
        let mut watch = begin(&app).await;
        let mut notices: Vec<_> = (0..21).map(|n| notice(&n.to_string(), "u_ada")).collect();
        notices.extend((0..20).map(|n| notice(&n.to_string(), "u_bob")));
        app.dispatcher.enqueue_all(notices).await.unwrap();
        let news = look_at(&mut watch, &[&ada, &bob]).await;
        assert_eq!((news[0].many, news[0].created.len()), (true, 0));
        assert_eq!((news[1].many, news[1].created.len()), (false, 20));
        assert!(look_at(&mut watch, &[&ada, &bob]).await.iter().all(News::is_empty));
    }

    async fn a_rolled_back_transaction_is_not_found(app: App) {
        let ada = inbox(&app, "u_ada");
        let mut watch = begin(&app).await;
        each_database!(app.dispatcher.database(), |pool| {
            let mut transaction = pool.begin_with(app.begin()).await.unwrap();
            let _ = app.dispatcher.enqueue_in(&mut transaction, notice("never", "u_ada")).await.unwrap();
            assert_eq!(look(&mut watch, &ada).await, told("", ""));
            transaction.rollback().await.unwrap();
        });
        tell(&app, "u_ada", "after").await;
        assert_eq!(look(&mut watch, &ada).await, told("after", ""));
    }

    async fn a_transaction_that_commits_late_is_found_after_its_commit(app: App) {
        let ada = inbox(&app, "u_ada");
        let mut watch = begin(&app).await;
        each_database!(app.dispatcher.database(), |pool| {
            let mut transaction = pool.begin_with(app.begin()).await.unwrap();
            let _ = app.dispatcher.enqueue_in(&mut transaction, notice("late", "u_ada")).await.unwrap();
            // On SQLite no other connection can write meanwhile.
            if app.database.kind == Kind::Postgres {
                let early = tell(&app, "u_ada", "early").await;
                assert_eq!(look(&mut watch, &ada).await, told("early", ""));
                mark(&ada, &early).await;
                assert_eq!(look(&mut watch, &ada).await, told("", "early"));
            }
            assert_eq!(look(&mut watch, &ada).await, told("", ""));
            transaction.commit().await.unwrap();
        });
        assert_eq!(look(&mut watch, &ada).await, told("late", ""));
        assert_eq!(look(&mut watch, &ada).await, told("", ""));
    }

    async fn a_restored_database_is_reported_once(app: App) {
        let ada = inbox(&app, "u_ada");
        tell(&app, "u_ada", "one").await;
        // As the current state would look to a restored backup.
        let moment = match app.database.kind {
            Kind::Sqlite => i64::MAX.to_string(),
            Kind::Postgres => "9000000:9000000:".to_owned(),
        };
        let mut watch = Watch::at(app.dispatcher.database(), moment);
        assert_eq!(watch.look(&[&ada]).await.unwrap(), Changes::Lost);
        assert_eq!(look(&mut watch, &ada).await, told("", ""));
        tell(&app, "u_ada", "three").await;
        assert_eq!(look(&mut watch, &ada).await, told("three", ""));
    }

    async fn an_item_from_a_dump_of_another_server_is_not_reported_repeatedly(app: App) {
        let ada = inbox(&app, "u_ada");
        tell(&app, "u_ada", "from elsewhere").await;
        let far = match app.database.kind {
            Kind::Sqlite => "changed_in",
            Kind::Postgres => "'9000000'::xid8",
        };
        app.database.execute(&format!("update {{campanile}}notifications set created_in = {far}, changed_in = {far}")).await;
        let mut watch = begin(&app).await;
        for _ in 0..2 {
            assert_eq!(look(&mut watch, &ada).await, told("", ""));
        }
    }

    async fn the_statements_of_a_poll_are_served_by_indexes(app: App) {
        app.database.fill_inbox(rows_of_others()).await;
        app.database.fill_inbox_of("u_ada", 1_000).await;
        let moment = match app.database.kind {
            Kind::Postgres => "select pg_current_snapshot()::text",
            Kind::Sqlite => {
                app.database.execute("update campanile_notifications set created_in = created_at, changed_in = created_at").await;
                app.database.execute("analyze").await;
                "select cast(max(changed_in) as text) from campanile_notifications"
            }
        };
        let moment = app.database.lines(moment).await.remove(0);
        tell(&app, "u_ada", "new").await;
        let users: Vec<_> = (0..200).map(|n| format!("other_{n}")).collect();
        let inboxes: Vec<_> = users.iter().enumerate().map(|(n, user)| json!({ "place": n, "user": user })).collect();
        let parameters = [
            vec![Some(moment), Some(json!(users).to_string()), Some("20".to_owned())],
            vec![Some(json!(inboxes).to_string()), Some("100".to_owned())],
        ];
        let statements = campanile_inbox::statements_of_many(app.dispatcher.database());
        for ((name, statement, indexes), parameters) in statements.into_iter().zip(parameters) {
            let plan = app.database.plan_of(statement, &parameters).await;
            for index in indexes {
                assert!(plan.contains(index), "{name}: {plan}");
            }
            for scan in ["Seq Scan", "SCAN campanile_notifications"] {
                assert!(!plan.contains(scan), "{name}: {plan}");
            }
        }
    }
}
