//! On a narrow screen nothing is cut off and nothing scrolls sideways, with everything there is to show.

use serde_json::json;

use crate::stage::Stage;

/// What reaches beyond the right edge, by tag and class.
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
    let sideways = "document.documentElement.scrollWidth > document.documentElement.clientWidth";
    stage.expect(sideways, false).await;
    stage.expect_a_quiet_console().await;
}
