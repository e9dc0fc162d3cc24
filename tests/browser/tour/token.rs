//! Where real mail could be sent, every part of the page uses the token of this start.

use serde_json::json;

use super::stage::{BELL, Stage};

#[tokio::test]
async fn every_part_of_the_page_gets_the_token() {
    let stage = Stage::open_with_token().await;
    // No mail is captured where real mail is sent, so the page has no preview to show.
    stage.turn("[aria-label='Email for Team']").await;
    stage
        .expect_status_of_settings("Saved. Email for Team is off.")
        .await;
    everything_works(&stage, 1).await;
    // The token is neither in the address nor in a cookie that the page can read.
    stage.expect("location.href.includes('token')", false).await;
    stage.expect("document.cookie", "").await;

    stage.browser.client.refresh().await.unwrap();
    stage.expect_ready().await;
    stage.release().await;
    everything_works(&stage, 2).await;
    stage.expect_a_quiet_console().await;
}

async fn everything_works(stage: &Stage, unread: usize) {
    stage.expect_settings().await;
    // The bell is live only if the server has accepted its stream.
    let live = "document.querySelector('campanile-bell').inbox.state.live";
    stage.expect(live, true).await;
    stage.fire("#fire-once", [1, 0, 1]).await;
    stage.expect_unread(unread).await;
    let badge = format!("{BELL}.querySelector('.badge').textContent");
    stage.expect(&badge, json!(unread.to_string())).await;
}
