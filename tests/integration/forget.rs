//! Forgetting a user erases a person everywhere, and nobody else.

use campanile::NotifiableEvent as _;
use campanile::preferences::Choice;
use campanile_tests::events::Role;
use campanile_tests::{App, both_databases};

both_databases! {
    async fn a_forgotten_user_has_no_row_in_any_table(app: App) {
        app.choose("u_ada", "loft", "pigeon", Choice::Off).await;
        let both = app.role_changed(Role::Admin).about("both").to(["u_ada", "u_bob"]);
        let alone = app.role_changed(Role::Admin).about("alone").to(["u_ada"]);
        app.dispatcher.dispatch(both).await.unwrap();
        app.dispatcher.dispatch(alone).await.unwrap();
        app.suppress("u_ada@example.com").await;
        app.dispatcher.forget_user("u_ada").await.unwrap();
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
        // The dispatch that was hers alone went with its content; the shared one is Bob's too.
        assert_eq!(app.database.count("notification_dispatches").await, 1);
    }

    async fn forgetting_a_stranger_changes_nothing(app: App) {
        app.dispatcher.dispatch(app.role_changed(Role::Admin).to(["u_bob"])).await.unwrap();
        let before = app.database.written().await;
        app.dispatcher.forget_user("u_stranger").await.unwrap();
        assert_eq!(app.database.written().await, before);
        assert!(app.dispatcher.forget_user("").await.is_err());
    }
}
