//! Narrow screens, large text, the other direction, other colours.

use crate::stage::{Script, Stage, picture, play};

async fn use_it(stage: &Stage, name: &str) {
    stage.click("Email for Team").await;
    stage.expect_switch("Email for Team", false, "Saved").await;
    stage.click("Email for Billing").await;
    stage
        .expect_said(
            "Email cannot be turned off here, because it is critical: A payment is overdue",
        )
        .await;
    stage.look(name).await;
    stage.expect_a_quiet_console().await;
}

#[test]
fn a_narrow_screen_shows_everything() {
    play(Script::Runs, async |stage| {
        stage.browser.resize(320, 640).await;
        use_it(stage, "narrow").await;
    });
}

#[test]
fn a_window_zoomed_to_twice_its_size_shows_everything() {
    play(Script::Runs, async |stage| {
        stage.browser.resize_scaled(640, 480, 2).await;
        use_it(stage, "zoom-200").await;
    });
}

#[test]
fn from_right_to_left_everything_is_the_other_way_round() {
    play(Script::Runs, async |stage| {
        stage
            .browser
            .eval("document.documentElement.dir = 'rtl'")
            .await;
        let sides = "(() => { const at = (selector) => document.querySelector(selector).getBoundingClientRect(); return \
            [at('tbody th').left > at('.about').left, at('.about').left > at('[role=switch]').left, \
             at('[aria-label=\"Email for Team\"] .knob').left < at('[aria-label=\"Email for Team\"]').left + 30]; })()";
        stage.expect(sides, vec![true, true, true]).await;
        use_it(stage, "rtl").await;
        stage.browser.resize(320, 640).await;
        stage.look("rtl-narrow").await;
    });
}

#[test]
fn forced_colours_still_tell_on_from_off() {
    play(Script::Runs, async |stage| {
        stage.click("Email for Team").await;
        stage.expect_switch("Email for Team", false, "Saved").await;
        stage.browser.prefer(&[("forced-colors", "active")]).await;
        let colour = |name: &str| {
            format!(
                "getComputedStyle(document.querySelector(\"[aria-label='{name}'] .track\")).backgroundColor"
            )
        };
        let differ = format!(
            "{} !== {}",
            colour("Email for Team"),
            colour("Inbox for Team")
        );
        stage.expect(&differ, true).await;
        picture(&stage.browser, "forced").await;
    });
}
