//! Preferences: one row for each user, category and channel, default on, only subtracting.

use campanile::preferences::{CellChange, Choice, Matrix, PreferenceError};
use campanile_tests::{App, both_databases};
use serde_json::{Value, json};

async fn matrix(app: &App, user: &str) -> Value {
    let matrix: Matrix = app
        .dispatcher
        .preferences_of(user)
        .unwrap()
        .matrix()
        .await
        .unwrap();
    serde_json::to_value(matrix).unwrap()
}

fn cell<'m>(matrix: &'m Value, category: &str, channel: &str) -> &'m Value {
    let named = |list: &'m Value, key: &str, name: &str| -> &'m Value {
        list.as_array()
            .unwrap()
            .iter()
            .find(|entry| entry[key] == name)
            .unwrap()
    };
    let category = named(&matrix["categories"], "category", category);
    named(&category["channels"], "channel", channel)
}

both_databases! {
    async fn the_matrix_shows_every_category_with_its_events_and_channels(app: App) {
        let matrix = matrix(&app, "u_ada").await;
        let names: Vec<_> = matrix["categories"].as_array().unwrap().iter().map(|row| &row["category"]).collect();
        assert_eq!(names, ["billing", "loft", "security", "team"]);
        assert_eq!(matrix["categories"][3], json!({
            "category": "team",
            "description": "People and roles in your organization",
            "events": [{
                "eventType": "org.member.role_changed",
                "description": "A member's role in the organization changed.",
            }],
            "channels": [
                { "channel": "email", "enabled": true, "locked": false, "reason": null },
                { "channel": "inbox", "enabled": true, "locked": false, "reason": null },
            ],
        }));
    }

    async fn a_critical_cell_is_locked_keeps_the_choice_and_gives_the_reason(app: App) {
        app.choose("u_ada", "billing", "email", Choice::Off).await;
        assert_eq!(*cell(&matrix(&app, "u_ada").await, "billing", "email"), json!({
            "channel": "email", "enabled": false, "locked": true,
            "reason": "always sent, because it is critical: org.billing.past_due",
        }));
    }

    async fn a_cell_is_one_row_of_one_user(app: App) {
        for choice in [Choice::Off, Choice::On, Choice::Off] {
            app.choose("u_ada", "team", "email", choice).await;
        }
        assert_eq!(app.database.count("user_notification_preferences").await, 1);
        assert_eq!(cell(&matrix(&app, "u_ada").await, "team", "email")["enabled"], false);
        assert_eq!(cell(&matrix(&app, "u_bob").await, "team", "email")["enabled"], true);
    }

    async fn many_cells_are_changed_together_or_not_at_all(app: App) {
        let change = |category: &str, channel: &str, enabled| CellChange {
            category: category.into(), channel: channel.into(), enabled,
        };
        let preferences = app.dispatcher.preferences_of("u_ada").unwrap();
        let refused = preferences
            .set_many(&[change("team", "email", false), change("team", "emial", false)])
            .await;
        assert!(matches!(refused, Err(PreferenceError::UnknownChannel { .. })));
        assert_eq!(app.database.count("user_notification_preferences").await, 0);
        preferences
            .set_many(&[
                change("team", "email", false),
                change("billing", "inbox", false),
                change("team", "email", true),
            ])
            .await
            .unwrap();
        let matrix = matrix(&app, "u_ada").await;
        assert_eq!(cell(&matrix, "team", "email")["enabled"], true, "the later change counts");
        assert_eq!(cell(&matrix, "billing", "inbox")["enabled"], false);
        preferences.set_many(&[]).await.unwrap();
    }

    async fn an_unknown_cell_is_an_error_with_the_known_ones(app: App) {
        let preferences = app.dispatcher.preferences_of("u_ada").unwrap();
        let error = preferences.set("teams", "email", Choice::Off).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "no event is of the category `teams`; the categories are billing, loft, security, team; did you mean `team`?"
        );
        let error = preferences.set("team", "push", Choice::Off).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "no event of the category `team` goes to the channel `push`; it goes to email, inbox"
        );
        assert!(app.dispatcher.preferences_of("").is_err());
    }

    async fn a_change_with_a_version_applies_only_to_that_version(app: App) {
        let preferences = app.dispatcher.preferences_of("u_ada").unwrap();
        let seen = preferences.matrix().await.unwrap();
        let mut change = CellChange { category: "team".into(), channel: "email".into(), enabled: false };
        let after = preferences.set_at(&seen.version(), &change).await.unwrap();
        assert_eq!(after, preferences.matrix().await.unwrap());
        assert_ne!(after.version(), seen.version());
        let stale = preferences.set_at(&seen.version(), &change).await;
        assert!(matches!(stale, Err(PreferenceError::Changed)));
        change = CellChange { category: "billing".into(), ..change };
        let locked = preferences.set_at(&after.version(), &change).await.unwrap_err();
        assert_eq!(
            locked.to_string(),
            "the channel `email` of the category `billing` cannot be muted: always sent, because it is critical: org.billing.past_due"
        );
        change.enabled = true;
        preferences.set_at(&after.version(), &change).await.unwrap();
        let other = app.dispatcher.preferences_of("u_bob").unwrap();
        assert_eq!(other.matrix().await.unwrap(), seen, "other users' preferences are unchanged");
    }
}
