//! With JavaScript: a switch turns at once and is saved in the background.

use axum::http::Method;
use campanile::preferences::Choice;

use super::stage::{ADA, Script, play};

#[test]
fn a_switch_is_saved_without_loading_the_page() {
    play(Script::Runs, async |stage| {
        stage.look("fresh").await;
        stage.host.weather.hold("/preferences");
        stage.click("Email for Team").await;
        // It does not wait for the server.
        stage.expect_switch("Email for Team", false, "").await;
        stage.host.weather.clear();
        stage.expect_switch("Email for Team", false, "Saved").await;
        stage.expect_said("Saved. Email for Team is off.").await;
        stage.expect_off(&["team.email"]).await;
        stage.look("saved").await;
        stage.click("Email for Team").await;
        stage.expect_said("Saved. Email for Team is on.").await;
        stage.expect_off(&[]).await;
        assert_eq!(stage.host.weather.asked(&Method::PATCH, "/preferences"), 2);
        assert_eq!(stage.host.weather.asked(&Method::POST, "/settings"), 0);
        stage.expect_a_quiet_console().await;
    });
}

#[test]
fn many_switches_turned_at_once_are_saved_one_after_the_other() {
    play(Script::Runs, async |stage| {
        stage.host.weather.hold("/preferences");
        for name in [
            "Email for Team",
            "Inbox for Team",
            "Email for Team",
            "Inbox for Billing",
            "Email for Team",
        ] {
            stage.click(name).await;
        }
        stage.expect_switch("Email for Team", false, "").await;
        stage.host.weather.clear();
        stage.expect_said("Saved. Email for Team is off.").await;
        stage
            .expect_switch("Inbox for Billing", false, "Saved")
            .await;
        stage.expect_switch("Email for Team", false, "Saved").await;
        stage
            .expect_off(&["billing.inbox", "team.email", "team.inbox"])
            .await;
        stage.expect_a_quiet_console().await;
    });
}

#[test]
fn a_page_restored_by_the_back_button_shows_the_current_settings() {
    play(Script::Runs, async |stage| {
        stage.click("Email for Team").await;
        stage.expect_said("Saved. Email for Team is off.").await;
        stage.go("/note").await;
        stage
            .host
            .app
            .choose(ADA, "team", "inbox", Choice::Off)
            .await;
        stage.browser.client.back().await.unwrap();
        stage.expect_switch("Inbox for Team", false, "").await;
        stage.click("Email for Team").await;
        stage.expect_said("Saved. Email for Team is on.").await;
        stage.expect_off(&["team.inbox"]).await;
    });
}
