//! Which dispatches are repeats: keys with and without a subject.

use campanile::channel::Verdict;
use campanile::preferences::Choice;
use campanile::{EventRequest, Notice, NotifiableEvent as _};
use campanile_pigeon::{Flight, PigeonSettings};
use campanile_tests::events::{GateMoved, Measured, ReportShared, Role, Unit};
use campanile_tests::{App, both_databases};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::json;

fn shared(note: &str) -> ReportShared {
    ReportShared {
        title: "A report".into(),
        note: note.into(),
        link: "/r/1".into(),
    }
}

fn gate(position: &str) -> Notice {
    GateMoved {
        position: position.into(),
    }
    .about("gate")
    .to(["u_ada"])
}

/// Fires, and returns how many were notified and how many had already been notified.
async fn fire(app: &App, notice: impl Into<Notice>) -> (usize, usize) {
    let report = app.dispatcher.dispatch(notice).await.unwrap();
    (report.admitted, report.deduped)
}

both_databases! {
    async fn distinct_notices_without_a_subject_are_all_sent(app: App) {
        for note in ["from Bob", "from Carol", "from Dave"] {
            assert_eq!(fire(&app, shared(note).to(["u_ada"])).await, (1, 0), "{note}");
        }
        assert_eq!(app.inbox("u_ada").await.len(), 3);
        assert_eq!(fire(&app, shared("from Bob").to(["u_ada"])).await, (0, 1));
    }

    async fn the_payload_is_the_same_in_any_order_of_its_keys(app: App) {
        for (payload, told) in [
            (r#"{ "title": "A", "note": "n", "link": "/r/1" }"#, (1, 0)),
            (r#"{ "link": "/r/1", "note": "n", "title": "A" }"#, (0, 1)),
        ] {
            let request = EventRequest {
                event_type: "lab.report.shared".into(),
                recipient_user_ids: vec!["u_ada".into()],
                subject_id: None,
                org_id: None,
                dispatch_id: None,
                payload: serde_json::from_str(payload).unwrap(),
            };
            assert_eq!(fire(&app, request).await, told, "{payload}");
        }
    }

    async fn a_subject_is_the_key_whatever_the_payload_is(app: App) {
        assert_eq!(fire(&app, shared("1").about("r_1").to(["u_ada"])).await, (1, 0));
        assert_eq!(fire(&app, shared("2").about("r_1").to(["u_ada"])).await, (0, 1));
        assert_eq!(fire(&app, shared("1").about("r_2").to(["u_ada"])).await, (1, 0));
    }

    async fn the_payload_takes_the_place_of_a_missing_subject_in_a_key_of_several_parts(app: App) {
        let member_of = |org: &str| {
            let mut event = app.role_changed(Role::Member);
            event.org_name = org.into();
            event.to(["u_ada"])
        };
        assert_eq!(fire(&app, member_of("Tower")).await, (1, 0));
        assert_eq!(fire(&app, member_of("Harbour")).await, (1, 0));
        assert_eq!(fire(&app, member_of("Tower")).await, (0, 1));
    }

    async fn a_key_that_does_not_name_the_subject_is_used_as_declared(app: App) {
        let measured = |value: f64| Measured { value, notes: Vec::new(), unit: Unit::Metre };
        assert_eq!(fire(&app, measured(1.0).to(["u_ada"])).await, (1, 0));
        assert_eq!(fire(&app, measured(2.0).to(["u_ada"])).await, (0, 1));
        assert_eq!(fire(&app, measured(3.0).about("another").to(["u_ada"])).await, (0, 1));
    }

    async fn a_change_and_a_change_back_are_both_sent(app: App) {
        for (position, told) in [
            ("open", (1, 0)), ("shut", (1, 0)), ("open", (1, 0)), ("open", (0, 1)), ("shut", (1, 0)), ("shut", (0, 1)),
        ] {
            assert_eq!(fire(&app, gate(position)).await, told, "{position}");
        }
        let titles: Vec<_> = app.inbox("u_ada").await.into_iter().map(|item| item.title).collect();
        assert_eq!(titles, ["The gate is shut", "The gate is open", "The gate is shut", "The gate is open"]);
        assert_eq!(app.database.count("notification_dedup").await, 1);
        // The window still has its normal length.
        app.database.advance_windows(61).await;
        assert_eq!(fire(&app, gate("shut")).await, (1, 0));
    }

    async fn a_change_ends_no_window_of_another_subject_recipient_or_event(app: App) {
        let moved = |gate: &str, position: &str| GateMoved { position: position.into() }.about(gate);
        assert_eq!(fire(&app, moved("east", "open").to(["u_ada", "u_bob"])).await, (2, 0));
        assert_eq!(fire(&app, moved("west", "shut").to(["u_ada"])).await, (1, 0));
        assert_eq!(fire(&app, moved("east", "shut").to(["u_ada"])).await, (1, 0));
        assert_eq!(fire(&app, moved("east", "open").to(["u_ada", "u_bob"])).await, (1, 1));
        assert_eq!(fire(&app, moved("west", "shut").to(["u_ada"])).await, (0, 1));
        // Without a subject, the payload is part of the changing key.
        let nowhere = |position: &str| GateMoved { position: position.into() }.to(["u_cyd"]);
        for (position, told) in [("open", (1, 0)), ("shut", (1, 0)), ("open", (1, 0)), ("open", (0, 1))] {
            assert_eq!(fire(&app, nowhere(position)).await, told, "{position}");
        }
    }

    async fn one_of_several_identical_concurrent_changes_is_sent(app: App) {
        for round in 0..5 {
            let position = if round % 2 == 0 { "open" } else { "shut" };
            let fires = futures_util::future::join_all((0..8).map(|_| fire(&app, gate(position)))).await;
            assert_eq!(fires.iter().map(|told| told.0).sum::<usize>(), 1, "{fires:?}");
            assert_eq!(fires.iter().map(|told| told.1).sum::<usize>(), 7, "{fires:?}");
        }
        assert_eq!(app.inbox("u_ada").await.len(), 5);
    }

    async fn several_changes_written_at_once_are_taken_in_their_order(app: App) {
        assert_eq!(fire(&app, gate("shut")).await, (1, 0));
        let dispatcher = app.builder().chunk(3).build().unwrap();
        let users = ["u_ada", "u_bob", "u_cyd", "u_eve"];
        let all = |position: &str| GateMoved { position: position.into() }.about("gate").to(users);
        let notices = ["shut", "shut", "open", "shut", "shut", "open"].map(all);
        let reports = dispatcher.enqueue_all(notices).await.unwrap();
        let told: Vec<_> = reports.iter().map(|report| (report.admitted, report.deduped)).collect();
        assert_eq!(told, [(3, 1), (0, 4), (4, 0), (4, 0), (0, 4), (4, 0)]);
        assert_eq!(fire(&app, gate("open")).await, (0, 1));
        let titles: Vec<_> = app.inbox("u_bob").await.into_iter().map(|item| item.title).collect();
        assert_eq!(titles.len(), 4);
    }

    async fn only_the_window_of_the_change_that_reached_nobody_is_released(app: App) {
        app.choose("u_ada", "loft", "inbox", Choice::Off).await;
        let hopeless = PigeonSettings::new(|_| Flight::Ends(Verdict::permanent("no")));
        let hopeless = app.builder().with(hopeless).build().unwrap();
        assert_eq!(fire(&app, gate("open")).await, (1, 0));
        let report = hopeless.dispatch(gate("shut")).await.unwrap();
        assert_eq!((report.admitted, report.failed), (1, 1));
        // Nobody was notified that it is shut.
        assert_eq!(fire(&app, gate("shut")).await, (1, 0));
        assert_eq!(fire(&app, gate("shut")).await, (0, 1));
    }

    async fn any_sequence_of_changes_is_sent_as_the_model_predicts(app: App) {
        let mut runner = TestRunner::deterministic();
        let sequence = prop::collection::vec((0..2_u8, 0..3_u8), 1..12);
        for round in 0..15 {
            let fires = sequence.new_tree(&mut runner).unwrap().current();
            let mut last = std::collections::HashMap::new();
            for (subject, position) in &fires {
                let notice = GateMoved { position: position.to_string() }
                    .about(format!("{round}_{subject}"))
                    .to(["u_ada"]);
                let is_new = last.insert(*subject, *position) != Some(*position);
                let told = if is_new { (1, 0) } else { (0, 1) };
                assert_eq!(fire(&app, notice).await, told, "{fires:?}");
            }
        }
    }
}

#[test]
fn a_request_that_forgets_its_recipients_is_not_a_request() {
    let forgotten = json!({ "type": "lab.report.shared", "payload": {} });
    let refusal = serde_json::from_value::<EventRequest>(forgotten).unwrap_err();
    assert!(
        refusal.to_string().contains("recipientUserIds"),
        "{refusal}"
    );
    let nobody = json!({ "type": "lab.report.shared", "recipientUserIds": [] });
    assert!(serde_json::from_value::<EventRequest>(nobody).is_ok());
}
