//! `explain` returns the plan that `dispatch` would execute, and writes nothing.

use campanile::NotifiableEvent as _;
use campanile::preferences::Choice;
use campanile_tests::events::Role;
use campanile_tests::{App, both_databases};
use serde_json::json;

both_databases! {
    async fn each_channel_is_explained_with_the_rule_that_decided_it(app: App) {
        app.choose("u_ada", "billing", "email", Choice::Off).await;
        app.choose("u_ada", "billing", "inbox", Choice::Off).await;
        app.choose("u_bob", "billing", "inbox", Choice::On).await;
        let notice = app.past_due().about("i_1").to(["u_bob", "u_ada"]);
        let explanation = app.dispatcher.explain(notice).await.unwrap();
        let explanation = serde_json::to_value(explanation).unwrap();
        assert_eq!(explanation["recipients"], json!([
            { "recipientUserId": "u_ada", "channels": [
                { "channel": "inbox", "sends": false, "rule": "optedOut" },
                { "channel": "email", "sends": true, "rule": "critical" },
            ] },
            { "recipientUserId": "u_bob", "channels": [
                { "channel": "inbox", "sends": true, "rule": "optedIn" },
                { "channel": "email", "sends": true, "rule": "critical" },
            ] },
        ]));
        assert_eq!(explanation["dedupKey"], "i_1");
        assert_eq!(explanation["windowSeconds"], 60.0);
        assert_eq!(explanation["content"]["email"]["subject"], "Payment overdue: 12 EUR");
        assert_eq!(app.database.written().await, 0);
    }

    async fn the_plan_matches_the_report_of_a_dispatch(app: App) {
        app.choose("u_bob", "team", "email", Choice::Off).await;
        let notice = || app.role_changed(Role::Admin).about("m_1").to(["u_ada", "u_bob"]);
        let plan = app.dispatcher.explain(notice()).await.unwrap().plan;
        let report = app.dispatcher.dispatch(notice()).await.unwrap();
        let planned: usize = plan
            .recipients
            .iter()
            .map(|recipient| recipient.channels.iter().filter(|entry| entry.sends).count())
            .sum();
        assert_eq!(planned, report.sent);
        assert_eq!(report.suppressed_by_prefs, 1);
    }
}
