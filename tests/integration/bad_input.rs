//! Mistakes of the program are refused before any use of the database, by a typed error that names the field and the reason, and
//! nothing is written. Input from users never prevents a notification.

use campanile::Retry;
use campanile::{DispatchError, EventRequest, Notice, NotifiableEvent as _, Outcome};
use campanile_tests::events::{Measured, PastDue, PigeonExpected, ReportShared, Role, Unit};
use campanile_tests::{App, both_databases};
use serde_json::json;

/// Fires, and expects an error with this code and this in its text, and nothing written.
async fn assert_refused(app: &App, notice: impl Into<Notice>, code: &str, text: &str) {
    let error = app.dispatcher.dispatch(notice).await.expect_err(text);
    assert_eq!(error.code(), code, "{error}");
    assert!(error.to_string().contains(text), "{error}");
    assert!(!error.is_transient());
    assert_eq!(app.database.written().await, 0);
}

fn measured(value: f64) -> Measured {
    Measured {
        value,
        notes: Vec::new(),
        unit: Unit::Metre,
    }
}

fn expected(title: &str, text: &str) -> PigeonExpected {
    PigeonExpected {
        title: title.into(),
        text: text.into(),
    }
}

fn shared(title: &str, note: &str, link: &str) -> Notice {
    ReportShared {
        title: title.into(),
        note: note.into(),
        link: link.into(),
    }
    .to(["u_ada"])
}

fn overdue(pay_url: &str) -> Notice {
    PastDue {
        amount: "1".into(),
        due: None,
        pay_url: pay_url.into(),
    }
    .about("i")
    .to(["u_ada"])
}

both_databases! {
    /// B1
    async fn an_empty_audience_is_valid(app: App) {
        let nobody: [&str; 0] = [];
        let report = app.dispatcher.dispatch(expected("a", "b").to(nobody)).await.unwrap();
        assert_eq!(report, campanile::DispatchReport::default());
        assert_eq!(app.database.written().await, 0);
    }

    /// B2
    async fn a_huge_audience_is_written_in_chunks_and_one_above_the_limit_is_refused_with_advice(app: App) {
        let users = |count: usize| (0..count).map(|n| format!("u_{n}"));
        let dispatcher = app.builder().chunk(1_000).max_recipients(3_000).build().unwrap();
        let report = dispatcher.enqueue(measured(1.0).about("x").to(users(2_500))).await.unwrap();
        assert_eq!((report.admitted, report.sent), (2_500, 2_500));
        assert_eq!(app.database.count("notifications").await, 2_500);
        let error = dispatcher.enqueue(measured(1.0).to(users(3_001))).await.unwrap_err();
        assert!(matches!(error, DispatchError::TooManyRecipients { given: 3_001, max: 3_000 }));
        assert!(error.to_string().contains("split the audience"), "{error}");
        assert_eq!(app.database.count("notifications").await, 2_500);
    }

    /// B3
    async fn repeated_ids_are_collapsed_and_counted(app: App) {
        let notice = measured(1.0).about("x").to(["u_ada", "u_ada", "u_bob", "u_ada"]);
        let report = app.dispatcher.dispatch(notice).await.unwrap();
        assert_eq!((report.recipients, report.repeated_ids, report.sent), (2, 2, 2));
    }

    /// B4
    async fn a_bad_recipient_is_named_by_its_index_and_nobody_is_notified(app: App) {
        for (bad, reason) in [
            ("", "is empty"),
            ("a\0b", "U+0000"),
            ("a\u{7}b", "U+0007"),
            (&"x".repeat(256), "256 bytes"),
        ] {
            let notice = measured(1.0).to(["u_ada", bad]);
            let text = format!("`recipient_user_ids`[1] {reason}");
            let text = text.replace("] U+", "] holds the control character U+").replace("] 256", "] is 256");
            assert_refused(&app, notice, "INVALID_INPUT", &text).await;
        }
        let longest = "x".repeat(255);
        assert_eq!(app.dispatcher.dispatch(measured(1.0).to([longest])).await.unwrap().sent, 1);
    }

    async fn a_bad_subject_and_a_bad_organization_are_refused(app: App) {
        assert_refused(&app, measured(1.0).about("").to(["u"]), "INVALID_INPUT", "`subject_id` is empty").await;
        assert_refused(&app, measured(1.0).in_org("a\nb").to(["u"]), "INVALID_INPUT", "`org_id` holds").await;
    }

    /// B5
    async fn nul_in_a_payload_becomes_the_replacement_character(app: App) {
        let notes = vec!["ok".into(), "a\0b".into()];
        let report = app.dispatcher.dispatch(Measured { notes, ..measured(1.0) }.to(["u_ada"])).await.unwrap();
        assert_eq!(report.sent, 1);
        let item = app.inbox("u_ada").await.remove(0);
        assert_eq!(item.body, "ok, a\u{FFFD}b");
        assert_eq!(item.payload["notes"], json!(["ok", "a\u{FFFD}b"]));
    }

    /// B7
    async fn numbers_that_are_not_finite_are_refused(app: App) {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let text = "field `value`: it is not a finite number";
            assert_refused(&app, measured(value).to(["u"]), "INVALID_PAYLOAD", text).await;
        }
    }

    /// B8
    async fn a_long_payload_is_rendered_in_full_and_stored_truncated(app: App) {
        let note = format!("{} the end", "é".repeat(35_000));
        let report = app.dispatcher.dispatch(shared("Report", &note, "/r/1")).await.unwrap();
        assert_eq!((report.sent, report.failed, report.payload_cut), (2, 0, true));
        assert!(app.mails().pop().unwrap().html.contains("éé the end</p>"));
        let item = app.inbox("u_ada").await.remove(0);
        assert_eq!(item.body, format!("{}…", "é".repeat(3_999)));
        assert_eq!((&item.payload["title"], &item.payload["link"]), (&json!("Report"), &json!("/r/1")));
        let stored = item.payload["note"].as_str().unwrap();
        assert!(stored.ends_with("é…") && (65_000..=65_536).contains(&item.payload.to_string().len()), "{}", stored.len());
        let dispatch = "select payload from {campanile}notification_dispatches";
        let dispatch = app.database.texts(&dispatch.replace("payload", "cast(payload as text) as payload")).await.remove(0);
        let dispatch: serde_json::Value = serde_json::from_str(&dispatch.unwrap()).unwrap();
        assert_eq!(dispatch, item.payload);
        // Two notices are distinguished by their full payload, and not by its stored part.
        let other = format!("{} the other end", "é".repeat(35_000));
        assert_eq!(app.dispatcher.dispatch(shared("Report", &other, "/r/1")).await.unwrap().admitted, 1);
    }

    /// B8
    async fn a_payload_of_more_than_a_mebibyte_or_too_deep_is_refused(app: App) {
        let large = expected("a", &"x".repeat(1024 * 1024));
        assert_refused(&app, large.to(["u"]), "INVALID_PAYLOAD", "at most 1048576").await;
        let mut deep = json!("x");
        for _ in 0..40 {
            deep = json!([deep]);
        }
        let request = EventRequest {
            event_type: "lab.value.measured".into(),
            recipient_user_ids: vec!["u".into()],
            subject_id: None,
            org_id: None,
            payload: json!({ "value": 1.0, "notes": [], "unit": { "Other": deep } }),
            dispatch_id: None,
        };
        assert_refused(&app, request, "INVALID_PAYLOAD", "`unit").await;
    }

    /// B9
    async fn a_long_title_and_body_are_cut_at_a_grapheme(app: App) {
        let notice = expected(&"é".repeat(300), &"y".repeat(5_000)).to(["u_ada"]);
        let _ = app.dispatcher.dispatch(notice).await.unwrap();
        let item = app.inbox("u_ada").await.remove(0);
        assert_eq!(item.title, format!("{}…", "é".repeat(199)));
        assert_eq!(item.body, format!("{}…", "y".repeat(3_999)));
    }

    /// B9
    async fn a_title_with_few_graphemes_but_many_code_points_is_cut_too(app: App) {
        let title = format!("Report a{}", "\u{301}".repeat(30_000));
        let _ = app.dispatcher.dispatch(shared(&title, "-", "/r/1")).await.unwrap();
        assert_eq!(app.inbox("u_ada").await.remove(0).title, "Report …");
        assert_eq!(app.mails().pop().unwrap().subject, "Report …");
    }

    /// B10 and B16
    async fn line_breaks_and_bidi_overrides_do_not_reach_a_subject_or_title(app: App) {
        let mut event = app.role_changed(Role::Admin);
        event.org_name = "Tower\r\nBcc: everyone@example.com\u{202E}gnp.exe".into();
        let _ = app.dispatcher.dispatch(event.to(["u_ada"])).await.unwrap();
        let title = app.inbox("u_ada").await.remove(0).title;
        assert_eq!(title, "Your role in Tower  Bcc: everyone@example.comgnp.exe changed");
        let mut event = app.past_due();
        event.amount = "1\r\nX-Evil: 1".into();
        let _ = app.dispatcher.dispatch(event.to(["u_ada"])).await.unwrap();
        assert_eq!(app.mails().pop().unwrap().subject, "Payment overdue: 1  X-Evil: 1");
    }

    /// B16
    async fn bidi_overrides_of_a_payload_are_removed_from_text_and_html(app: App) {
        let note = "invoice\u{202E}fdp\u{2066}.exe\u{2069}";
        let _ = app.dispatcher.dispatch(shared("Report", note, "/r/\u{202D}1")).await.unwrap();
        assert_eq!(app.inbox("u_ada").await.remove(0).body, "invoicefdp.exe");
        let html = app.mails().pop().unwrap().html;
        assert!(html.contains("<p>invoicefdp.exe</p>"), "{html}");
        assert!(html.contains("&#x2f;r&#x2f;1"), "{html}");
    }

    /// B11
    async fn markup_and_template_syntax_in_a_payload_show_as_text(app: App) {
        let mut event = app.role_changed(Role::Admin);
        event.actor_name = "<script>alert(1)</script> {{ 7 * 7 }} {% raw %}".into();
        let _ = app.dispatcher.dispatch(event.to(["u_ada"])).await.unwrap();
        let body = app.inbox("u_ada").await.remove(0).body;
        assert!(body.starts_with("<script>alert(1)</script> {{ 7 * 7 }} {% raw %} changed"), "{body}");
        let html = app.mails().pop().unwrap().html;
        assert!(html.contains("&lt;script&gt;alert(1)&lt;"), "{html}");
        assert!(html.contains("{{ 7 * 7 }}") && !html.contains("<script>"), "{html}");
    }

    /// B13
    async fn a_variable_that_is_missing_at_run_time_fails_its_channel_and_does_not_leave_a_gap(app: App) {
        let request = EventRequest {
            event_type: "auth.password.changed".into(),
            recipient_user_ids: vec!["u".into()],
            subject_id: None,
            org_id: None,
            payload: json!({ "device": {} }),
            dispatch_id: None,
        };
        assert_refused(&app, request, "INVALID_PAYLOAD", "missing field `name`").await;
        let notice = campanile_tests::events::Listed { names: Vec::new() }.to(["u"]);
        let report = app.dispatcher.dispatch(notice).await.unwrap();
        let Outcome::Failed { reason, retry } = &report.outcomes[0].outcome else { panic!("{report:?}") };
        assert!(reason.starts_with("the part `title` cannot be rendered: undefined value"), "{reason}");
        assert_eq!(*retry, Retry::Never);
        assert_eq!(app.database.written().await, 0);
    }

    /// B15
    async fn a_link_that_cannot_be_used_is_left_out_and_the_rest_is_sent(app: App) {
        let long = format!("https://a.example/{}", "y".repeat(2_100));
        for bad in ["javascript:alert(1)", "data:text/html,x", "//evil.example", "http://example.com/", "pay", &long] {
            let report = app.dispatcher.dispatch(overdue(bad)).await.unwrap();
            assert_eq!((report.sent, report.failed), (2, 0), "{bad}: {report:?}");
            assert_eq!(app.inbox("u_ada").await[0].action_url, None, "{bad}");
            app.database.advance_windows(61).await;
        }
    }

    /// B17
    async fn a_link_is_https_mailto_or_a_path_of_this_site(app: App) {
        let _ = app.dispatcher.dispatch(overdue("https://bücher.example/pay?a=1")).await.unwrap();
        let item = app.inbox("u_ada").await.remove(0);
        assert_eq!(item.action_url.as_deref(), Some("https://xn--bcher-kva.example/pay?a=1"));
    }

    /// B15
    async fn a_link_in_html_that_runs_code_is_removed_and_the_mail_is_sent(app: App) {
        for bad in ["javascript:alert(1)", " JavaScript:alert(1)", "java\nscript:alert(1)", "vbscript:x", "data:text/html,x"] {
            let report = app.dispatcher.dispatch(shared("Report", "-", bad)).await.unwrap();
            assert_eq!((report.sent, report.failed), (2, 0), "{bad}: {report:?}");
            let html = app.mails().pop().unwrap().html;
            assert!(html.contains("<p><a>Report</a></p>"), "{html}");
        }
        for good in ["https://example.com/?q=javascript:", "/r/1", "java&#115;cript:alert(1)"] {
            let _ = app.dispatcher.dispatch(shared("Report", "javascript:alert(1)", good).about(good)).await.unwrap();
        }
        assert!(app.mails().pop().unwrap().html.contains("href=\"java&amp;#115;cript:"));
    }

    /// B18
    async fn an_unknown_event_is_an_error_that_suggests_the_nearest_name(app: App) {
        let request = |event_type: &str| EventRequest {
            event_type: event_type.into(),
            recipient_user_ids: vec!["u".into()],
            subject_id: None,
            org_id: None,
            payload: json!({}),
            dispatch_id: None,
        };
        let near = "did you mean `org.member.role_changed`?";
        assert_refused(&app, request("org.member.role_change"), "REGISTRY_MISS", near).await;
        assert_refused(&app, request("zzz"), "REGISTRY_MISS", "no event `zzz` is registered").await;
    }

    async fn an_enum_with_data_is_part_of_the_key(app: App) {
        let with = |unit: &str| Measured { unit: Unit::Other(unit.into()), ..measured(1.0) }.to(["u_ada"]);
        for (unit, admitted) in [("ell", 1), ("span", 1), ("ell", 0)] {
            assert_eq!(app.dispatcher.dispatch(with(unit)).await.unwrap().admitted, admitted, "{unit}");
        }
    }
}
