//! A switch that cannot be saved turns back, and the page says why.

use axum::http::Method;
use campanile::preferences::Choice;

use super::stage::{ADA, Script, Stage, play};

/// Turns a switch that cannot be saved, and then one that can.
async fn turned_back(stage: &Stage, why: &str) {
    stage.click("Email for Team").await;
    stage
        .expect_said(&format!("Not saved. {why} Email for Team is on."))
        .await;
    stage
        .expect_switch("Email for Team", true, "Not saved")
        .await;
    stage.expect_focus("Email for Team").await;
}

#[test]
fn a_failure_of_the_server_turns_the_switch_back() {
    play(Script::Runs, async |stage| {
        stage
            .host
            .weather
            .refuse(Method::PATCH, "/preferences", 503);
        turned_back(stage, "Something went wrong. Try again later.").await;
        stage.expect_off(&[]).await;
        stage.look("failed").await;
        stage.host.weather.clear();
        stage.click("Email for Team").await;
        stage.expect_switch("Email for Team", false, "Saved").await;
        stage.expect_off(&["team.email"]).await;
    });
}

#[test]
fn an_unreachable_server_turns_the_switch_back() {
    play(Script::Runs, async |stage| {
        stage.host.kill();
        turned_back(stage, "The server cannot be reached.").await;
        stage.host.start_again().await;
        stage.click("Email for Team").await;
        stage.expect_switch("Email for Team", false, "Saved").await;
    });
}

#[test]
fn a_signed_out_user_sees_why_nothing_was_saved() {
    play(Script::Runs, async |stage| {
        stage.browser.client.delete_all_cookies().await.unwrap();
        turned_back(
            stage,
            "You are not signed in any more. Sign in, and open this page again.",
        )
        .await;
    });
}

#[test]
fn a_conflict_shows_the_current_settings() {
    play(Script::Runs, async |stage| {
        stage
            .host
            .app
            .choose(ADA, "team", "inbox", Choice::Off)
            .await;
        let why =
            "The settings were changed elsewhere in the meantime. The current ones are shown.";
        turned_back(stage, why).await;
        stage.expect_switch("Inbox for Team", false, "").await;
        stage.expect_off(&["team.inbox"]).await;
        stage.look("conflict").await;
        // The page has the current version now.
        stage.click("Email for Team").await;
        stage.expect_switch("Email for Team", false, "Saved").await;
        stage.expect_off(&["team.email", "team.inbox"]).await;
    });
}
