//! Forgetting a user erases that user everywhere, and nobody else.

use std::time::Duration;

use campanile::channel::DeliveryError;
use campanile::operate::ForgetError;
use campanile::operate::Retention;
use campanile::preferences::Choice;
use campanile::{Dispatcher, ErasureKey, NotifiableEvent as _, Registry};
use campanile_email::{
    Answer, Capabilities, EmailSettings, Mail, Mailer, SuppressionFilter, SuppressionKind,
    Suppressions,
};
use campanile_inbox::{Change, Inbox};
use campanile_tests::app::{BrokenBook, HostBook};
use campanile_tests::events::{PigeonAlone, Role};
use campanile_tests::{App, both_databases};

/// Orphaned dispatches: rows with content that no delivery needs.
const ORPHANS: &str = "select count(*) from {campanile}notification_dispatches as dispatch where not exists \
    (select 1 from {campanile}notification_deliveries as delivery where delivery.dispatch_id = dispatch.id)";

/// Every address bounces, or is rejected without a reason.
struct Refusing(fn(DeliveryError) -> Answer);

#[campanile::async_trait]
impl Mailer for Refusing {
    async fn send(&self, mails: &[Mail]) -> Vec<Answer> {
        let refusals = mails.iter();
        let refuse = |_| (self.0)(DeliveryError::new("550 no such user"));
        refusals.map(refuse).collect()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }
}

both_databases! {
    async fn a_forgotten_user_has_no_row_in_any_table(app: App) {
        app.choose("u_ada", "loft", "pigeon", Choice::Off).await;
        let both = app.role_changed(Role::Admin).about("both").to(["u_ada", "u_bob"]);
        let alone = app.role_changed(Role::Admin).about("alone").to(["u_ada"]);
        let _ = app.dispatcher.dispatch(both).await.unwrap();
        let _ = app.dispatcher.dispatch(alone).await.unwrap();
        app.suppress("u_ada@example.com").await;
        let archived = Change { archived: Some(true), ..Change::default() };
        let item = app.inbox("u_ada").await[0].id;
        Inbox::for_user(&app.database.database, "u_ada").unwrap().change(item, archived).await.unwrap();
        app.dispatcher.operations().forget_user("u_ada").await.unwrap();
        for (table, column, left) in [
            ("notifications", "user_id", 1),
            ("notification_dedup", "recipient_user_id", 1),
            ("notification_deliveries", "user_id", 1),
            ("user_notification_preferences", "user_id", 0),
        ] {
            let of_ada = format!("select count(*) from {{campanile}}{table} where {column} = 'u_ada'");
            assert_eq!(app.database.number(&of_ada).await, 0, "{table}");
            assert_eq!(app.database.count(table).await, left, "{table}");
        }
        let addresses = "select count(*) from {campanile}notification_addresses where user_id = 'u_ada'";
        assert_eq!(app.database.number(addresses).await, 0);
        assert_eq!(app.database.count("email_suppressions").await, 0);
        assert_eq!(app.database.count("notification_attempts").await, 1);
        // The dispatch to only her was deleted with its content; the shared one belongs to Bob too.
        assert_eq!(app.database.count("notification_dispatches").await, 1);
    }

    async fn forgetting_an_unknown_user_changes_nothing(app: App) {
        let _ = app.dispatcher.dispatch(app.role_changed(Role::Admin).to(["u_bob"])).await.unwrap();
        let before = app.database.written().await;
        app.dispatcher.operations().forget_user("u_stranger").await.unwrap();
        assert_eq!(app.database.written().await, before);
        assert!(app.dispatcher.operations().forget_user("").await.is_err());
    }

    async fn erased_and_kept_rows_are_reported(app: App) {
        let both = app.role_changed(Role::Admin).about("both").to(["u_ada", "u_bob"]);
        let alone = app.role_changed(Role::Admin).about("alone").to(["u_ada"]);
        let _ = app.dispatcher.dispatch(both).await.unwrap();
        let _ = app.dispatcher.dispatch(alone).await.unwrap();
        let forgotten = app.dispatcher.operations().forget_user("u_ada").await.unwrap();
        assert_eq!((forgotten.deliveries, forgotten.dispatches, forgotten.shared_dispatches), (2, 1, 1));
        // Two inbox items, two windows, three addresses.
        assert_eq!(forgotten.rows, 7);
        let forgotten = app.dispatcher.operations().forget_user("u_bob").await.unwrap();
        assert_eq!((forgotten.dispatches, forgotten.shared_dispatches), (1, 0));
    }

    async fn recipients_of_one_dispatch_who_are_forgotten_concurrently_leave_nothing(app: App) {
        for n in 0..60 {
            let people = ["a", "b", "c"].map(|name| format!("{name}_{n}"));
            let _ = app.dispatcher.enqueue(app.password_changed().to(&people)).await.unwrap();
            for forgotten in futures_util::future::join_all(people.iter().map(|user| app.dispatcher.operations().forget_user(user))).await {
                assert_eq!(forgotten.unwrap().deliveries, 2);
            }
        }
        assert_eq!((app.database.written().await, app.database.number(ORPHANS).await), (0, 0));
    }

    async fn forgetting_during_a_prune_leaves_nothing(app: App) {
        let retention = Retention { deliveries: Duration::from_mins(1), ..Retention::default() };
        for n in 0..60 {
            let (ended, waiting) = (format!("b_{n}"), format!("a_{n}"));
            let _ = app.dispatcher.enqueue(app.password_changed().to([&ended, &waiting])).await.unwrap();
            app.database.execute(&format!(
                "update {{campanile}}notification_deliveries set state = 'delivered', finished_at = {{earlier(3600000000)}} \
                 where user_id = '{ended}'"
            )).await;
            let (forgotten, pruned) = tokio::join!(app.dispatcher.operations().forget_user(&waiting), app.dispatcher.operations().prune(retention));
            assert_eq!(forgotten.unwrap().deliveries, 2);
            // It skips rows that are being forgotten.
            pruned.unwrap();
            app.dispatcher.operations().prune(retention).await.unwrap();
            assert_eq!(app.database.count("notification_deliveries").await, 0);
        }
        assert_eq!(app.database.number(ORPHANS).await, 0);
    }

    async fn forgetting_while_a_worker_runs_leaves_nothing(app: App) {
        let people: Vec<String> = (0..20).map(|n| format!("u_{n}")).collect();
        for user in &people {
            app.address(user, "pigeon", "the tower").await;
        }
        for n in 0..5 {
            let notice = PigeonAlone { text: "secret".into() }.about(n).to(&people);
            let _ = app.dispatcher.enqueue(notice).await.unwrap();
        }
        let dispatcher = app.dispatcher.clone();
        let working = tokio::spawn(async move {
            while dispatcher.deliver_due(10).await.unwrap().claimed > 0 {}
        });
        for forgotten in futures_util::future::join_all(people.iter().map(|user| app.dispatcher.operations().forget_user(user))).await {
            forgotten.unwrap();
        }
        working.await.unwrap();
        assert_eq!((app.database.written().await, app.database.number(ORPHANS).await), (0, 0));
    }

    async fn a_suppressed_address_is_erased_however_it_was_written(app: App) {
        for (n, written) in [
            "plain@example.com", "Ada@Example.com", "Ada Lovelace <ada@example.com>", " ada@example.com", "ada@BÜCHER.example",
            "jörg@example.com", "JÖRG@example.com",
        ].into_iter().enumerate() {
            let user = format!("u_{n}");
            app.address(&user, "email", written).await;
            app.suppress(written.trim()).await;
            assert_eq!(app.database.count("email_suppressions").await, 1, "{written}");
            app.dispatcher.operations().forget_user(&user).await.unwrap();
            assert_eq!(app.database.count("email_suppressions").await, 0, "{written}");
        }
    }

    async fn a_former_address_that_is_no_longer_in_the_book_is_erased_too(app: App) {
        for (refuse, table) in [
            (Answer::Bounced as fn(_) -> _, "email_suppressions"),
            (Answer::Suspected, "email_suspects"),
        ] {
            let mailer = Refusing(refuse);
            let settings = EmailSettings::new("Tower <bells@example.com>", mailer);
            let refused = app.builder().with(settings).build().unwrap();
            app.address("u_gus", "email", "former@example.com").await;
            let _ = refused.dispatch(app.role_changed(Role::Admin).about(table).to(["u_gus"])).await.unwrap();
            assert_eq!(app.database.count(table).await, 1);
            app.dispatcher.addresses().set("u_gus", "email", "present@example.com").await.unwrap();
            app.dispatcher.operations().forget_user("u_gus").await.unwrap();
            assert_eq!(app.database.count(table).await, 0, "{table}");
        }
    }

    async fn with_a_key_an_address_that_complained_is_not_mailed_again_after_the_erasure(app: App) {
        let key = ErasureKey::new("0123456789abcdef0123456789abcdef").unwrap();
        let keyed = app.builder().erasure_key(key.clone()).build().unwrap();
        let list = Suppressions::new(app.database.database.clone()).with_erasure_key(Some(key));
        let told = async |dispatcher: &Dispatcher, subject: &str| {
            app.address("u_gus", "email", "Gus <Gus@Example.com>").await;
            dispatcher.dispatch(app.role_changed(Role::Admin).about(subject).to(["u_gus"])).await.unwrap()
        };
        let _ = told(&keyed, "a").await;
        list.add_as(SuppressionKind::Complaint, "gus@example.com", "spam, says Gus").await.unwrap();
        let forgotten = keyed.operations().forget_user("u_gus").await.unwrap();
        assert_eq!(forgotten.kept_hashes, 1);
        let text = "select count(*) from {campanile}email_suppressions where lower(address || reason) like '%gus%'";
        assert_eq!(app.database.number(text).await, 0, "nobody can read it");
        let listed = list.list(SuppressionFilter::default()).await.unwrap();
        assert!(listed[0].is_erased() && listed[0].kind == SuppressionKind::Complaint);
        let next = SuppressionFilter { after: Some(&listed[0].address), ..SuppressionFilter::default() };
        assert_eq!(list.list(next).await.unwrap().len(), 0);
        assert!(list.contains("GUS@example.com").await.unwrap());
        assert_eq!(told(&keyed, "b").await.suppressed_addresses, 1);
        // Once more, now that a hash already exists.
        list.add_as(SuppressionKind::Complaint, "gus@example.com", "spam").await.unwrap();
        assert_eq!(keyed.operations().forget_user("u_gus").await.unwrap().kept_hashes, 1);
        // And when nothing but the hash is left.
        app.address("u_gus", "email", "gus@example.com").await;
        assert_eq!(keyed.operations().forget_user("u_gus").await.unwrap().kept_hashes, 1);
        assert_eq!(app.database.count("email_suppressions").await, 1);
        assert!(list.remove("gus@example.com").await.unwrap());
        assert_eq!(told(&keyed, "c").await.suppressed_addresses, 0);
    }

    async fn without_a_key_no_hash_is_kept_and_never_one_of_a_bounce(app: App) {
        let key = ErasureKey::new("0123456789abcdef0123456789abcdef").unwrap();
        let keyed = app.builder().erasure_key(key).build().unwrap();
        let list = Suppressions::new(app.database.database.clone());
        for (dispatcher, kind, kept) in [
            (&app.dispatcher, SuppressionKind::Complaint, 0),
            (&keyed, SuppressionKind::Bounce, 0),
            (&keyed, SuppressionKind::Manual, 1),
        ] {
            app.address("u_gus", "email", "gus@example.com").await;
            list.add_as(kind, "gus@example.com", "x").await.unwrap();
            let forgotten = dispatcher.operations().forget_user("u_gus").await.unwrap();
            assert_eq!((forgotten.kept_hashes, app.database.count("email_suppressions").await), (kept, i64::try_from(kept).unwrap()));
        }
    }

    async fn the_hosts_own_address_book_is_queried_and_has_to_answer(app: App) {
        app.suppress("u_7@host.example").await;
        let _ = app.dispatcher.enqueue(app.role_changed(Role::Admin).to(["u_7"])).await.unwrap();
        let written = app.database.written().await;
        let broken = app.builder().address_book(BrokenBook).build().unwrap();
        let error = broken.operations().forget_user("u_7").await.unwrap_err();
        assert!(matches!(error, ForgetError::AddressBook { .. }), "{error}");
        assert_eq!(app.database.written().await, written);
        let host = app.builder().address_book(HostBook::default()).build().unwrap();
        host.operations().forget_user("u_7").await.unwrap();
        assert_eq!((app.database.written().await, app.database.count("email_suppressions").await), (0, 0));
    }

    async fn a_binary_without_the_channels_erases_their_tables_too(app: App) {
        let _ = app.dispatcher.dispatch(app.role_changed(Role::Admin).to(["u_ada"])).await.unwrap();
        app.suppress("u_ada@example.com").await;
        let bare = app.builder().registry(Registry::new([], []).unwrap()).build().unwrap();
        bare.operations().forget_user("u_ada").await.unwrap();
        assert_eq!((app.database.written().await, app.database.count("email_suppressions").await), (0, 0));
    }
}
