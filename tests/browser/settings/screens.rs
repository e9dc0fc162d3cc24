//! Narrow screens, large text, right to left, other colours.

use std::collections::BTreeMap;

use serde_json::json;

use super::stage::{Script, Stage, play};

/// The roles of a table.
const TABLE: [&str; 6] = [
    "table",
    "rowgroup",
    "row",
    "columnheader",
    "rowheader",
    "cell",
];

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

/// How often each role of a table occurs in the accessibility tree.
async fn roles(stage: &Stage) -> BTreeMap<String, usize> {
    let tree = stage
        .browser
        .devtools("Accessibility.getFullAXTree", json!({}))
        .await;
    let mut roles = BTreeMap::new();
    for node in tree["nodes"].as_array().unwrap() {
        let role = node["role"]["value"].as_str().unwrap_or_default();
        let is_of_a_table = TABLE.contains(&role) && node["ignored"] == false;
        if is_of_a_table {
            *roles.entry(role.to_owned()).or_default() += 1;
        }
    }
    roles
}

#[test]
fn a_narrow_screen_shows_everything() {
    play(Script::Runs, async |stage| {
        let wide = roles(stage).await;
        stage.browser.resize(320, 640).await;
        assert_eq!(roles(stage).await, wide);
        let [rows, columns, heads, cells] =
            ["row", "columnheader", "rowheader", "cell"].map(|role| wide[role]);
        assert_eq!((heads, cells), (rows - 1, (rows - 1) * (columns - 1)));
        // Other browsers need explicit roles.
        let unnamed = "[...document.querySelectorAll('table, table :is(thead, tbody, tr, th, td)')].filter((it) => !it.role).length";
        stage.expect(unnamed, 0).await;
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
fn right_to_left_mirrors_the_layout() {
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
fn forced_colours_still_distinguish_on_from_off() {
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
        stage.picture("settings-forced").await;
    });
}
