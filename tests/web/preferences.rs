//! Preferences: a matrix with its version, and changes that name the version they were made for.

use axum::http::Method;
use campanile_tests::both_databases;
use serde_json::{Value, json};

use crate::site::{Answer, Site, with_json};

async fn switch(
    site: &Site,
    version: Option<&str>,
    category: &str,
    channel: &str,
    enabled: bool,
) -> Answer {
    let body = json!({ "category": category, "channel": channel, "enabled": enabled });
    let mut request = with_json(Method::PATCH, "u_ada", "/preferences", &body);
    if let Some(version) = version {
        request
            .headers_mut()
            .insert("if-match", version.parse().unwrap());
    }
    site.send(request).await
}

fn row<'a>(answer: &'a Answer, category: &str) -> &'a Value {
    let mut rows = answer.json["categories"].as_array().unwrap().iter();
    rows.find(|row| row["category"] == category).unwrap()
}

both_databases! {
    async fn the_matrix_says_which_switches_are_locked_and_why(site: Site) {
        let answer = site.get("u_ada", "/preferences").await;
        answer.expect(200);
        assert_eq!(*row(&answer, "team"), json!({
            "category": "team",
            "description": "People and roles in your organization",
            "events": [{ "eventType": "org.member.role_changed", "description": "A member's role in the organization changed." }],
            "channels": [
                { "channel": "email", "enabled": true, "default": true, "locked": false, "reason": null },
                { "channel": "inbox", "enabled": true, "default": true, "locked": false, "reason": null },
            ],
        }));
        assert_eq!(row(&answer, "billing")["channels"][0], json!({
            "channel": "email", "enabled": true, "default": true, "locked": true,
            "reason": "always sent, because it is critical: org.billing.past_due",
        }));
    }

    async fn a_switch_is_turned_in_the_version_that_was_read(site: Site) {
        let first = site.get("u_ada", "/preferences").await;
        let second = switch(&site, Some(first.etag()), "team", "email", false).await;
        second.expect(200);
        assert_eq!(row(&second, "team")["channels"][0]["enabled"], false);
        assert_ne!(second.etag(), first.etag());
        let read = site.get("u_ada", "/preferences").await;
        assert_eq!((&read.json, read.etag()), (&second.json, second.etag()));
        switch(&site, Some(first.etag()), "team", "inbox", false).await.expect_problem(412, "preferences-changed");
        switch(&site, None, "team", "inbox", false).await.expect_problem(428, "version-required");
        for other in [format!("W/{}", read.etag()), read.etag().trim_matches('"').to_owned(), String::new()] {
            switch(&site, Some(&other), "team", "inbox", false).await.expect_problem(412, "preferences-changed");
        }
        let either = format!("{}, {}", first.etag(), read.etag());
        switch(&site, Some(&either), "team", "email", false).await.expect(200);
        switch(&site, Some("*"), "team", "email", true).await.expect(200);
        let other = site.get("u_bob", "/preferences").await;
        assert_eq!(row(&other, "team")["channels"][0]["enabled"], true);
    }

    async fn one_of_many_concurrent_changes_of_a_version_succeeds(site: Site) {
        let version = site.get("u_ada", "/preferences").await.etag().to_owned();
        let cells = [("team", "email"), ("team", "inbox"), ("billing", "inbox"), ("security", "inbox"), ("security", "push")];
        let turn = |(category, channel)| switch(&site, Some(&version), category, channel, false);
        let answers = futures_util::future::join_all(cells.map(turn)).await;
        let statuses: Vec<_> = answers.iter().map(|answer| answer.status.as_u16()).collect();
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
        assert_eq!(statuses.iter().filter(|status| **status == 412).count(), 4, "{statuses:?}");
        assert_eq!(site.app.database.count("user_notification_preferences").await, 1);
    }

    async fn a_change_of_any_version_succeeds_beside_a_concurrent_one(site: Site) {
        let turn = |channel| switch(&site, Some("*"), "team", channel, false);
        let (first, second) = futures_util::future::join(turn("email"), turn("inbox")).await;
        first.expect(200);
        second.expect(200);
        assert_eq!(site.app.database.count("user_notification_preferences").await, 2);
    }

    async fn an_unknown_cell_is_refused_with_the_known_ones_and_a_critical_one_with_its_reason(site: Site) {
        let unknown = switch(&site, Some("*"), "teams", "email", false).await;
        unknown.expect_problem(422, "unknown-category");
        assert_eq!(unknown.json["known"], json!(["billing", "loft", "security", "team"]));
        let unknown = switch(&site, Some("*"), "team", "push", false).await;
        unknown.expect_problem(422, "unknown-channel");
        assert_eq!(unknown.json["known"], json!(["email", "inbox"]));
        let locked = switch(&site, Some("*"), "billing", "email", false).await;
        locked.expect_problem(409, "critical-channel");
        assert_eq!(locked.json["reason"], "always sent, because it is critical: org.billing.past_due");
        switch(&site, Some("*"), "billing", "email", true).await.expect(200);
    }
}
