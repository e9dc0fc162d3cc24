//! On a narrow screen nothing is cut off and nothing scrolls sideways, with every part of the page shown.

use serde_json::json;

use super::stage::{BELL, SETTINGS, Stage};

/// The elements that reach beyond the right edge, by tag and class.
const BEYOND: &str = "[...document.querySelectorAll('body *')]\
    .filter((it) => !it.closest('.unseen, .skip') && it.getBoundingClientRect().right > innerWidth + 0.5)\
    .map((it) => it.tagName + '.' + it.className)";

#[tokio::test]
async fn a_narrow_screen_shows_everything() {
    let stage = Stage::open().await;
    stage.browser.resize(360, 740).await;
    stage.expect("innerWidth", 360).await;
    stage.expect(BEYOND, json!([])).await;

    stage.click("[data-fail='push']").await;
    stage
        .expect(
            "document.querySelector('[data-fail=push]').getAttribute('aria-checked')",
            "true",
        )
        .await;
    stage.choose("auth.password.changed").await;
    for user in ["u_ben", "u_chloe", "u_dev"] {
        stage
            .click(&format!("#recipients input[value='{user}']"))
            .await;
    }
    stage.fire("#fire-row", [8, 16, 0]).await;
    stage.expect_windows(4).await;
    stage.expect_mails(4).await;
    stage.click(".rendered summary").await;

    stage.expect(BEYOND, json!([])).await;
    stage.expect_settings().await;
    for document in ["document", SETTINGS] {
        let root = format!("{document}.documentElement");
        let sideways = format!("{root}.scrollWidth > {root}.clientWidth");
        stage.expect(&sideways, false).await;
    }
    // The settings page is as high as its frame: nothing scrolls inside of what scrolls.
    let hidden = format!("{SETTINGS}.body.scrollHeight > {SETTINGS}.documentElement.clientHeight");
    stage.expect(&hidden, false).await;

    stage.click("campanile-bell").await;
    let panel = format!("{BELL}.querySelector('.panel').getBoundingClientRect()");
    let inside = format!(
        "((it) => it.width > 0 && it.left >= 0 && it.right <= document.documentElement.clientWidth)({panel})"
    );
    stage.expect(&inside, true).await;
    stage.expect_a_quiet_console().await;
}
