//! The whole story of the tour, as a user sees it.

use fantoccini::Locator;
use serde_json::json;

use super::stage::{BELL, BILLING_CANNOT_BE_MUTED, SETTINGS, Stage};

const TEAM_BY_EMAIL: &str = "[aria-label='Email for Team']";
const BILLING_BY_EMAIL: &str = "[aria-label='Email for Billing']";

fn attribute(selector: &str, name: &str) -> String {
    format!("document.querySelector(\"{selector}\").getAttribute('{name}')")
}

#[tokio::test]
async fn the_whole_story_shows_on_one_page() {
    let stage = Stage::open().await;
    repeats_are_caught(&stage).await;
    a_muted_channel_is_silent(&stage).await;
    a_critical_channel_cannot_be_muted(&stage).await;
    a_failing_channel_stops_nothing(&stage).await;
    the_inbox_is_read(&stage).await;
    another_person_has_another_inbox(&stage).await;
    the_mail_is_previewed(&stage).await;
    stage.expect_a_quiet_console().await;
}

/// Afterwards: 3 mails, 3 unread, one window.
async fn repeats_are_caught(stage: &Stage) {
    stage.choose("org.invitation.sent").await;
    stage.fire("#fire-once", [2, 0, 0]).await;
    stage
        .expect_outcome("u_ada", "email", "defaultOn", "sent")
        .await;
    stage.expect_windows(1).await;
    stage.expect_mails(1).await;
    stage.expect_unread(1).await;
    let badge = format!("{BELL}.querySelector('.badge').textContent");
    stage.expect(&badge, "1").await;

    stage.fire("#fire-once", [0, 1, 0]).await;
    stage.fire("#fire-row", [0, 5, 0]).await;
    stage.expect_windows(1).await;
    stage.expect_mails(1).await;

    stage.release().await;
    stage.fire("#fire-burst", [2, 4, 0]).await;
    stage.expect_windows(1).await;
    stage.expect_mails(2).await;

    stage.release().await;
    stage.fire("#fire-once", [2, 0, 0]).await;
    stage.expect_windows(1).await;
    stage.expect_mails(3).await;
    stage.expect_unread(3).await;
}

/// Afterwards: 3 mails, 4 unread.
async fn a_muted_channel_is_silent(stage: &Stage) {
    stage.turn(TEAM_BY_EMAIL).await;
    stage
        .expect_status_of_settings("Saved. Email for Team is off.")
        .await;
    stage.release().await;
    stage.fire("#fire-once", [1, 0, 1]).await;
    stage
        .expect_outcome("u_ada", "email", "optedOut", "suppressedByPrefs")
        .await;
    stage
        .expect_outcome("u_ada", "inbox", "defaultOn", "sent")
        .await;
    stage.expect_unread(4).await;
    stage.expect_mails(3).await;
}

/// Afterwards: 4 mails, 5 unread.
async fn a_critical_channel_cannot_be_muted(stage: &Stage) {
    stage.turn(BILLING_BY_EMAIL).await;
    stage
        .expect_status_of_settings(BILLING_CANNOT_BE_MUTED)
        .await;
    let position = format!("{SETTINGS}.querySelector(\"{BILLING_BY_EMAIL}\").ariaChecked");
    stage.expect(&position, "true").await;

    stage.choose("org.billing.past_due").await;
    stage.fire("#fire-once", [2, 0, 0]).await;
    stage
        .expect_outcome("u_ada", "email", "critical", "sent")
        .await;
    stage.expect_mails(4).await;
    stage.expect_unread(5).await;
}

/// Afterwards: 5 mails, 6 unread.
async fn a_failing_channel_stops_nothing(stage: &Stage) {
    let switch = "[data-fail='email']";
    stage.click(switch).await;
    stage
        .expect(&attribute(switch, "aria-checked"), "true")
        .await;
    stage.release().await;
    stage.fire("#fire-once", [1, 0, 0]).await;
    stage
        .expect_outcome("u_ada", "email", "critical", "failed")
        .await;
    stage.expect_unread(6).await;
    stage
        .expect(
            "document.querySelectorAll('#waiting [data-delivery]').length",
            1,
        )
        .await;
    stage.expect_mails(4).await;

    stage.click(switch).await;
    stage
        .expect(&attribute(switch, "aria-checked"), "false")
        .await;
    stage.make_due().await;
    stage.expect_mails(5).await;
    stage
        .expect(
            "document.querySelectorAll('#waiting [data-delivery]').length",
            0,
        )
        .await;
    stage.expect_unread(6).await;
}

async fn the_inbox_is_read(stage: &Stage) {
    stage.expect_stages([6, 0, 0]).await;
    stage.click("#inbox li:nth-child(2) button").await;
    stage.expect_stages([5, 0, 1]).await;
    stage.expect_unread(5).await;
    // Opening the bell marks its items as seen, not as read.
    stage.click("campanile-bell").await;
    stage.expect_stages([0, 5, 1]).await;
    stage.expect_unread(5).await;
    let read_all = format!("{BELL}.querySelector('.read-all').click()");
    stage.browser.eval(&read_all).await;
    stage.expect_stages([0, 0, 6]).await;
    stage.expect_unread(0).await;
    a_notification_leads_nowhere_else(stage).await;
}

/// The page says where an app would go, and stays.
async fn a_notification_leads_nowhere_else(stage: &Stage) {
    let title = format!("{BELL}.querySelector('.title').click()");
    stage.browser.eval(&title).await;
    let told = "document.getElementById('status').textContent.includes('an app would go to /')";
    stage.expect(told, true).await;
    stage.expect("location.pathname", "/").await;
}

async fn another_person_has_another_inbox(stage: &Stage) {
    for (user, items, title) in [
        ("u_ben", 0, "Settings page of Ben Lindqvist"),
        ("u_ada", 6, "Settings page of Ada Okafor"),
    ] {
        stage.meet(user).await;
        stage
            .expect("document.querySelectorAll('#inbox li').length", items)
            .await;
        stage
            .expect("document.querySelector('#settings iframe').title", title)
            .await;
        let on = user == "u_ben";
        let position = format!("{SETTINGS}?.querySelector(\"{TEAM_BY_EMAIL}\")?.ariaChecked");
        stage.expect(&position, on.to_string()).await;
    }
}

async fn the_mail_is_previewed(stage: &Stage) {
    stage
        .expect("document.querySelectorAll('#mails [data-mail]').length", 5)
        .await;
    let client = &stage.browser.client;
    let frame = client.find(Locator::Css("#preview-html")).await.unwrap();
    assert_eq!(frame.attr("sandbox").await.unwrap(), Some(String::new()));
    frame.enter_frame().await.unwrap();
    let heading = client.wait().for_element(Locator::Css("h1")).await.unwrap();
    assert_eq!(
        heading.text().await.unwrap(),
        "Invoice 2026-0117 is past due"
    );
    let header = client.find(Locator::Css("body > div > p")).await.unwrap();
    let colour = header.css_value("background-color").await.unwrap();
    assert_eq!(
        colour, "rgba(74, 53, 19, 1)",
        "the mail keeps its own styles"
    );
    client.enter_parent_frame().await.unwrap();

    stage.click("#show-text").await;
    let text =
        "document.getElementById('preview-text').textContent.includes('has been due for 6 days')";
    stage.expect(text, true).await;
    let shown = "[document.getElementById('preview-html').hidden, document.getElementById('preview-text').hidden]";
    stage.expect(shown, json!([true, false])).await;
}
