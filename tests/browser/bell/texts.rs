//! A host's texts, and plurals and times in the language of the page.

use super::stage::{ADA, play_with};

#[test]
fn a_host_can_set_texts_with_plurals() {
    play_with(2, async |stage| {
        let polish = r#"{ "bellUnread": { "one": "{count} nowe", "few": "{count} nowe wiadomości", "many": "{count} nowych wiadomości", "other": "?" },
            "readAll": "Oznacz wszystkie", "title": "Wiadomości", "bell": "Wiadomości" }"#;
        stage.eval("document.documentElement.lang = 'pl'").await;
        stage
            .eval(&format!("bell.setAttribute('strings', `{polish}`)"))
            .await;
        stage.expect_bell("2 nowe wiadomości").await;
        stage.open_list().await;
        stage
            .expect(
                "[one('h2').textContent, one('.read-all').textContent, one('.close').title]",
                vec!["Wiadomości", "Oznacz wszystkie", "Close"],
            )
            .await;
        for number in 3..=5 {
            stage.host.tell(ADA, &format!("Note {number}")).await;
        }
        stage.eval("bell.inbox.refresh()").await;
        stage.expect_bell("5 nowych wiadomości").await;
        stage
            .eval("bell.strings = { bellUnread: 'Neu: {count}' }")
            .await;
        stage.expect_bell("Neu: 5").await;
        stage.expect("one('h2').textContent", "Notifications").await;
        stage.expect_a_quiet_console().await;
        stage.eval("bell.setAttribute('strings', '{')").await;
        stage.expect_bell("Notifications, 5 unread").await;
        let complaints = stage.browser.complaints().await;
        assert!(
            complaints.len() == 1 && complaints[0].contains("is not JSON"),
            "{complaints:?}"
        );
    });
}

#[test]
fn times_are_shown_in_the_language_of_the_page() {
    play_with(2, async |stage| {
        stage.host.app.database.execute("update {campanile}notifications set created_at = created_at - 7500 * 1000000 where title = 'Note 1'").await;
        stage.go("/?lang=de").await;
        stage.open_list().await;
        stage.expect_titles(&["Note 2", "Note 1"]).await;
        stage
            .expect("one('.item:last-child .time').textContent", "vor 2 Stunden")
            .await;
        stage.eval("bell.setAttribute('lang', 'fr')").await;
        stage
            .expect(
                "one('.item:last-child .time').textContent",
                "il y a 2 heures",
            )
            .await;
        stage
            .eval("bell.setAttribute('lang', 'no such language')")
            .await;
        stage.expect("titles().length", 2).await;
        let machine = "[one('time').dateTime === bell.inbox.state.items[0].createdAt, one('time').title.length > 10]";
        stage.expect(machine, vec![true, true]).await;
    });
}
