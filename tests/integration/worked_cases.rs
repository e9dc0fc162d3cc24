//! The worked cases: what a caller sees of windows, repeats and preferences, for an event on inbox and email.

use campanile::preferences::Choice;
use campanile::{DispatchReport, NotifiableEvent as _};
use campanile_tests::events::{PastDue, Role, RoleChanged};
use campanile_tests::{App, both_databases};

async fn fire(app: &App) -> DispatchReport {
    app.dispatcher
        .dispatch(app.role_changed(Role::Admin).about("m_1").to(["u_ada"]))
        .await
        .unwrap()
}

#[track_caller]
fn assert_counts(report: &DispatchReport, sent: usize, deduped: usize, suppressed: usize) {
    assert_eq!(
        (report.sent, report.deduped, report.suppressed_by_prefs),
        (sent, deduped, suppressed),
        "{report:?}"
    );
    assert_eq!((report.failed, report.queued), (0, 0), "{report:?}");
    assert_eq!(
        report.recipients,
        report.admitted + report.deduped + report.fully_suppressed + report.fully_failed
    );
}

both_databases! {
    async fn the_first_fire_reaches_both_channels_and_opens_one_window(app: App) {
        assert_counts(&fire(&app).await, 2, 0, 0);
        assert_eq!(app.database.count("notification_dedup").await, 1);
        assert_eq!(app.database.count("notifications").await, 1);
        assert_eq!(app.mails().len(), 1);
    }

    async fn a_repeated_event_is_delivered_once(app: App) {
        let _ = fire(&app).await;
        assert_counts(&fire(&app).await, 0, 1, 0);
        assert_eq!(app.database.count("notification_dedup").await, 1);
        assert_eq!(app.database.count("notifications").await, 1);
        assert_eq!(app.mails().len(), 1);
    }

    async fn five_rapid_fires_are_one_delivery_and_four_repeats(app: App) {
        let mut total = DispatchReport::default();
        for _ in 0..5 {
            let report = fire(&app).await;
            total.sent += report.sent;
            total.deduped += report.deduped;
        }
        assert_eq!((total.sent, total.deduped), (2, 4));
        assert_eq!(app.mails().len(), 1);
    }

    async fn five_fires_at_once_are_one_delivery_and_four_repeats(app: App) {
        let fires = (0..5).map(|_| fire(&app));
        let reports = futures_util::future::join_all(fires).await;
        assert_eq!(reports.iter().map(|report| report.sent).sum::<usize>(), 2);
        assert_eq!(reports.iter().map(|report| report.deduped).sum::<usize>(), 4);
        assert_eq!(app.mails().len(), 1);
        assert_eq!(app.database.count("notifications").await, 1);
    }

    async fn after_the_window_it_sends_again_in_the_same_row(app: App) {
        let _ = fire(&app).await;
        app.database.advance_windows(59).await;
        assert_counts(&fire(&app).await, 0, 1, 0);
        app.database.advance_windows(2).await;
        assert_counts(&fire(&app).await, 2, 0, 0);
        assert_eq!(app.database.count("notification_dedup").await, 1);
        assert_eq!(app.mails().len(), 2);
    }

    async fn a_repeat_does_not_extend_the_window(app: App) {
        let _ = fire(&app).await;
        app.database.advance_windows(40).await;
        assert_counts(&fire(&app).await, 0, 1, 0);
        app.database.advance_windows(21).await;
        assert_counts(&fire(&app).await, 2, 0, 0);
    }

    async fn a_muted_channel_is_suppressed(app: App) {
        app.choose("u_ada", "team", "email", Choice::Off).await;
        assert_counts(&fire(&app).await, 1, 0, 1);
        assert_eq!(app.mails().len(), 0);
    }

    async fn a_recipient_who_muted_everything_opens_no_window(app: App) {
        app.choose("u_ada", "team", "email", Choice::Off).await;
        app.choose("u_ada", "team", "inbox", Choice::Off).await;
        let report = fire(&app).await;
        assert_counts(&report, 0, 0, 2);
        assert_eq!((report.fully_suppressed, report.dispatch_id), (1, None));
        assert_eq!(app.database.written().await, 0);
        // No window was opened, so the next fire is not a repeat.
        app.choose("u_ada", "team", "email", Choice::On).await;
        assert_counts(&fire(&app).await, 1, 0, 1);
    }

    async fn a_critical_channel_cannot_be_muted(app: App) {
        app.choose("u_ada", "billing", "email", Choice::Off).await;
        app.choose("u_ada", "billing", "inbox", Choice::Off).await;
        let event = PastDue { amount: "12 EUR".into(), due: None, pay_url: "/pay".into() };
        let report = app.dispatcher.dispatch(event.about("i_1").to(["u_ada"])).await.unwrap();
        assert_counts(&report, 1, 0, 1);
        assert_eq!(app.mails().len(), 1);
        assert_eq!(app.database.count("notifications").await, 0);
    }

    async fn a_promotion_and_a_demotion_are_two_notifications(app: App) {
        for role in [Role::Admin, Role::Member] {
            let notice = app.role_changed(role).about("m_1").to(["u_ada"]);
            assert_counts(&app.dispatcher.dispatch(notice).await.unwrap(), 2, 0, 0);
        }
        assert_eq!(app.database.count("notification_dedup").await, 2);
    }

    async fn windows_are_separate_for_subjects_recipients_and_events(app: App) {
        let to = |subject: &str, user: &str| app.role_changed(Role::Admin).about(subject).to([user]);
        for (subject, user) in [("m_1", "u_ada"), ("m_2", "u_ada"), ("m_1", "u_bob")] {
            let report = app.dispatcher.dispatch(to(subject, user)).await.unwrap();
            assert_counts(&report, 2, 0, 0);
        }
    }

    async fn with_a_window_of_zero_nothing_is_a_repeat(app: App) {
        for _ in 0..3 {
            let notice = app.password_changed().to(["u_ada"]);
            assert_eq!(app.dispatcher.dispatch(notice).await.unwrap().sent, 3);
        }
        assert_eq!(app.database.count("notification_dedup").await, 0);
        assert_eq!(app.mails().len(), 3);
    }

    async fn several_recipients_are_counted_one_by_one(app: App) {
        app.choose("u_bob", "team", "email", Choice::Off).await;
        let _ = fire(&app).await;
        let notice = app.role_changed(Role::Admin).about("m_1").to(["u_cyd", "u_ada", "u_bob", "u_ada"]);
        let report = app.dispatcher.dispatch(notice).await.unwrap();
        assert_counts(&report, 3, 1, 1);
        assert_eq!((report.recipients, report.admitted, report.repeated_ids), (3, 2, 1));
        let lines: Vec<_> = report
            .outcomes
            .iter()
            .map(|line| format!("{} {} {}", line.recipient_user_id, line.channel, line.outcome.as_str()))
            .collect();
        assert_eq!(lines, [
            "u_ada email deduped", "u_ada inbox deduped",
            "u_bob email suppressedByPrefs", "u_bob inbox sent",
            "u_cyd email sent", "u_cyd inbox sent",
        ]);
    }

    async fn the_report_is_camel_case_json_with_a_line_for_each_recipient_and_channel(app: App) {
        let report = serde_json::to_value(fire(&app).await).unwrap();
        assert_eq!(report["suppressedByPrefs"], 0);
        assert_eq!(report["outcomes"][0], serde_json::json!({
            "recipientUserId": "u_ada", "channel": "email", "outcome": "sent",
        }));
    }

    async fn enqueue_commits_and_leaves_mails_to_a_worker(app: App) {
        let notice = app.role_changed(Role::Admin).about("m_1").to(["u_ada"]);
        let report = app.dispatcher.enqueue(notice).await.unwrap();
        assert_eq!((report.sent, report.queued), (1, 1));
        assert_eq!(app.mails().len(), 0);
        assert_eq!(app.dispatcher.deliver_due(10).await.unwrap().sent, 1);
        assert_eq!(app.mails().len(), 1);
        assert_eq!(app.dispatcher.deliver_due(10).await.unwrap().claimed, 0);
    }

    async fn several_events_are_written_at_once_and_the_first_one_in_a_window_is_admitted(app: App) {
        let role = |role| app.role_changed(role).about("m_1").to(["u_ada", "u_bob"]);
        let notices = [role(Role::Admin), role(Role::Admin), role(Role::Owner)];
        let reports = app.dispatcher.enqueue_all(notices).await.unwrap();
        let seen: Vec<_> = reports.iter().map(|entry| (entry.sent, entry.queued, entry.deduped)).collect();
        assert_eq!(seen, [(2, 2, 0), (0, 0, 2), (2, 2, 0)]);
        assert_eq!(app.database.count("notifications").await, 4);
    }
}

#[test]
fn an_event_can_be_declared_without_linking_a_channel_crate() {
    assert_eq!(
        RoleChanged::DECLARATION.event_type,
        "org.member.role_changed"
    );
}
