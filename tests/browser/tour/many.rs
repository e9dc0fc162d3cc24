//! An inbox of more than one page.

use super::stage::Stage;

#[tokio::test]
async fn older_items_are_loaded_on_request() {
    let stage = Stage::open().await;
    let fire = "fetch('/api/events').then((it) => it.json()).then((events) => \
        events.find(({ eventType }) => eventType === 'org.invitation.sent').example).then((example) => \
        Promise.all(Array.from({ length: 25 }, (_, at) => fetch('/api/dispatch', { method: 'POST', \
        headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ ...example, subjectId: `inv_${at}` }) }))))\
        .then((answers) => answers.every(({ ok }) => ok))";
    assert_eq!(stage.browser.eval(fire).await, true);
    stage.expect_unread(25).await;
    // How many live items are shown depends on how they arrived; after a reload it is one page.
    let items = "document.querySelectorAll('#inbox li').length";
    stage.browser.client.refresh().await.unwrap();
    stage.expect_ready().await;
    stage.expect(items, 20).await;
    stage.click("#older").await;
    stage.expect(items, 25).await;
    let more = "document.getElementById('older').hidden";
    stage.expect(more, true).await;
    stage.expect_a_quiet_console().await;
}
