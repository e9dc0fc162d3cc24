//! Notes with markup and unsafe links.

use serde_json::json;

use super::stage::{ADA, play};
use crate::host::{Host, NoteLeft};

/// Links that must not be shown, however they came into the database.
const LINKS: [&str; 16] = [
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    " javascript:alert(1)",
    "java\nscript:alert(1)",
    "\u{1}javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "vbscript:x",
    "blob:https://evil.example/x",
    "file:///etc/passwd",
    "//evil.example",
    "/\\evil.example",
    "/\t/evil.example",
    "\\\\evil.example",
    "https://user:pw@evil.example",
    "https://",
    "relative",
];

#[test]
fn markup_in_a_note_is_text() {
    const MARKUP: &str = "<img src=x onerror=\"window.hit = 1\"><b>{{ 7 * 7 }}</b>&amp;";
    let before = async |host: &Host| {
        let note = NoteLeft {
            title: MARKUP.into(),
            text: MARKUP.into(),
            ..NoteLeft::default()
        };
        host.leave(ADA, note).await;
    };
    play(before, async |stage| {
        stage.open_list().await;
        stage.expect_titles(&[MARKUP]).await;
        stage.expect("one('.item .body').textContent", MARKUP).await;
        stage.click_at_note(MARKUP, "[data-act=archive]").await;
        stage
            .expect(
                "one('.bar span')?.textContent",
                format!("Archived: {MARKUP}"),
            )
            .await;
        stage
            .expect(
                "[root.querySelectorAll('img, b').length, window.hit ?? 0]",
                json!([0, 0]),
            )
            .await;
        stage.expect_a_quiet_console().await;
    });
}

#[test]
fn an_unsafe_link_is_not_put_into_the_page() {
    let before = async |host: &Host| {
        for (number, link) in LINKS.iter().enumerate() {
            let title = format!("{number}");
            host.tell(ADA, &title).await;
            // The core would have refused it.
            let link = link.replace('\'', "''");
            host.app
                .database
                .execute(&format!("update {{campanile}}notifications set action_url = '{link}' where title = '{title}'"))
                .await;
        }
    };
    play(before, async |stage| {
        stage.open_list().await;
        stage.expect("titles().length", LINKS.len()).await;
        stage
            .expect(
                "all('.item a').map((it) => it.getAttribute('href'))",
                json!([]),
            )
            .await;
        stage.expect_a_quiet_console().await;
    });
}

#[test]
fn a_safe_link_stays_a_link() {
    play(
        async |_: &Host| {},
        async |stage| {
            let origin = format!("http://{}", stage.host.address);
            let safe = "const { safeLink } = await import('/notifications/inbox.js'); arguments[1](arguments[0].map(safeLink));";
            let links = json!([
                "/note?a=b#c",
                "https://example.com/x",
                "http://localhost/",
                "mailto:a@example.com",
                "HTTPS://EXAMPLE.com",
                "/",
                null,
                7,
                {}
            ]);
            let script = format!("(async (...arguments) => {{ {safe} }})(...arguments)");
            let found = stage
                .browser
                .client
                .execute_async(&script, vec![links])
                .await
                .unwrap();
            let expected = json!([
                format!("{origin}/note?a=b#c"),
                "https://example.com/x",
                "http://localhost/",
                "mailto:a@example.com",
                "https://example.com/",
                format!("{origin}/"),
                null,
                null,
                null,
            ]);
            assert_eq!(found, expected);
        },
    );
}
