//! Content is rendered once at dispatch and frozen.

use campanile::NotifiableEvent as _;
use campanile::preferences::Choice;
use campanile_tests::events::{ListShared, Role};
use campanile_tests::{App, both_databases};

both_databases! {
    async fn an_absent_option_leaves_no_trace_in_the_text(app: App) {
        for (due, body) in [(None, "12 EUR is overdue."), (Some("1 May"), "12 EUR is overdue since 1 May.")] {
            let mut event = app.past_due();
            event.due = due.map(str::to_owned);
            let _ = app.dispatcher.dispatch(event.about(body).to(["u_ada"])).await.unwrap();
            assert_eq!(app.inbox("u_ada").await[0].body, body);
        }
    }

    async fn enums_and_nested_structs_are_rendered_in_their_serde_form(app: App) {
        let _ = app.dispatcher.dispatch(app.role_changed(Role::Owner).to(["u_ada"])).await.unwrap();
        let _ = app.dispatcher.dispatch(app.password_changed().to(["u_ada"])).await.unwrap();
        let bodies: Vec<_> = app.inbox("u_ada").await.into_iter().map(|item| item.body).collect();
        assert_eq!(bodies, ["From laptop.", "Bob changed your role from member to owner."]);
    }

    async fn a_worker_sends_the_content_that_was_rendered_at_dispatch(app: App) {
        let mut event = app.past_due();
        event.amount = "<12> & 'EUR'".into();
        let _ = app.dispatcher.enqueue(event.to(["u_ada"])).await.unwrap();
        let stored = app.database.number(
            "select count(*) from {campanile}notification_dispatches \
             where content -> 'email' ->> 'subject' = 'Payment overdue: <12> & ''EUR'''",
        );
        assert_eq!(stored.await, 1);
        app.dispatcher.deliver_due(1).await.unwrap();
        let mail = app.mails().remove(0);
        assert_eq!(mail.subject, "Payment overdue: <12> & 'EUR'");
        assert!(mail.html.contains("&lt;12&gt; &amp; &#x27;EUR&#x27;"), "{}", mail.html);
    }

    async fn content_is_stored_once_for_a_dispatch_and_not_for_each_recipient(app: App) {
        let users = (0..50).map(|n| format!("u_{n}"));
        let _ = app.dispatcher.enqueue(app.role_changed(Role::Owner).to(users)).await.unwrap();
        assert_eq!(app.database.count("notification_dispatches").await, 1);
        assert_eq!(app.database.count("notification_deliveries").await, 50);
    }

    async fn a_part_that_cannot_be_rendered_fails_only_its_own_channel(app: App) {
        app.choose("u_bob", "loft", "inbox", Choice::Off).await;
        let list = |names: &[&str]| {
            let names = names.iter().map(ToString::to_string).collect();
            ListShared { names }.about("l_1").to(["u_ada", "u_bob"])
        };
        let explained = app.dispatcher.explain(list(&[])).await.unwrap();
        assert!(explained.failures["email"].contains("`subject`"), "{:?}", explained.failures);
        assert!(!explained.content.contains_key("email"));

        let report = app.dispatcher.dispatch(list(&[])).await.unwrap();
        assert_eq!((report.sent, report.failed, report.suppressed_by_prefs), (1, 2, 1));
        assert_eq!((report.recipients, report.admitted, report.fully_failed), (2, 1, 1));
        let lines: Vec<_> = report.outcomes.iter().map(|line| (line.recipient_user_id.as_str(), line.outcome.as_str())).collect();
        let failed = [("u_ada", "failed"), ("u_ada", "sent"), ("u_bob", "failed"), ("u_bob", "suppressedByPrefs")];
        assert_eq!(lines, failed);
        assert_eq!(app.database.count("notification_deliveries").await, 0);

        // Bob was not notified, so he has no window; Ada was.
        let report = app.dispatcher.dispatch(list(&["bread"])).await.unwrap();
        assert_eq!((report.sent, report.admitted, report.deduped, report.fully_failed), (1, 1, 1, 0));
        assert_eq!(app.mails().pop().unwrap().subject, "bread");
        // A repeat is a repeat on every channel.
        let again = app.dispatcher.dispatch(list(&[])).await.unwrap();
        assert_eq!((again.deduped, again.failed, again.fully_failed), (1, 1, 1));
    }
}
