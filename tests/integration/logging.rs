//! A failing channel is logged with fixed fields, and no log contains an address or a payload.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Mutex, OnceLock};

use campanile::NotifiableEvent as _;
use campanile::channel::{DeliveryError, Verdict};
use campanile_pigeon::{Flight, PigeonSettings};
use campanile_tests::events::PigeonExpected;
use campanile_tests::{App, Running, both_databases};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

pub(crate) type Fields = BTreeMap<String, String>;

/// Everything this process logs, from trace level up, also by sqlx. All tests share one subscriber, so a test finds its own lines
/// by their content.
static LINES: Mutex<Vec<Fields>> = Mutex::new(Vec::new());

struct Collector;

impl<S: Subscriber> Layer<S> for Collector {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = Line(Fields::new());
        event.record(&mut line);
        line.0
            .insert("level".into(), event.metadata().level().to_string());
        line.0
            .insert("target".into(), event.metadata().target().to_owned());
        LINES.lock().unwrap().push(line.0);
    }

    fn on_new_span(
        &self,
        attributes: &tracing::span::Attributes<'_>,
        _: &tracing::span::Id,
        _: Context<'_, S>,
    ) {
        let mut line = Line(Fields::new());
        attributes.record(&mut line);
        let metadata = attributes.metadata();
        line.0.insert("span".into(), metadata.name().to_owned());
        line.0.insert("target".into(), metadata.target().to_owned());
        LINES.lock().unwrap().push(line.0);
    }
}

struct Line(Fields);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}

pub(crate) fn collect() {
    static COLLECTING: OnceLock<()> = OnceLock::new();
    COLLECTING.get_or_init(|| {
        let subscriber = tracing_subscriber::registry().with(Collector);
        tracing::subscriber::set_global_default(subscriber).unwrap();
    });
}

pub(crate) fn lines(wanted: impl Fn(&Fields) -> bool) -> Vec<Fields> {
    let lines = LINES.lock().unwrap();
    lines.iter().filter(|line| wanted(line)).cloned().collect()
}

/// The fields of the spans with this name and this field.
fn spans(name: &str, field: &str, value: &str) -> Vec<Vec<String>> {
    let spans = lines(|line| {
        let is = |field: &str, value: &str| line.get(field).is_some_and(|entry| entry == value);
        is("target", "campanile") && is("span", name) && is(field, value)
    });
    let fields = spans.iter().map(|span| {
        let fields = span
            .keys()
            .filter(|entry| !["span", "target"].contains(&entry.as_str()));
        fields.cloned().collect()
    });
    fields.collect()
}

both_databases! {
    async fn a_suppressed_address_is_logged_once_as_a_warning(app: App) {
        collect();
        app.suppress("u_ada@example.com").await;
        for _ in 0..3 {
            let _ = app.dispatcher.dispatch(app.password_changed().to(["u_ada"])).await.unwrap();
        }
        let filter = campanile::operate::DeliveryFilter { channel: Some("email"), ..Default::default() };
        let mails = app.dispatcher.operations().deliveries(filter).await.unwrap();
        let ids: Vec<String> = mails.iter().map(|mail| mail.id.to_string()).collect();
        assert_eq!(ids.len(), 3);
        let warnings = lines(|line| {
            let of_ours = line.get("delivery_id").is_some_and(|id| ids.contains(id));
            of_ours && line.get("message").is_some_and(|message| message.contains("suppression list"))
        });
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert_eq!((&*warnings[0]["level"], &*warnings[0]["target"]), ("WARN", "campanile"));
    }

    async fn spans_and_log_lines_have_the_documented_fields_and_no_personal_data(app: App) {
        collect();
        // Thirteen of thirty-seven can be reached, in one call: these numbers identify the spans of this test.
        let users: Vec<_> = (0..37).map(|n| format!("u_canary_fields_{n}")).collect();
        for user in &users[..13] {
            app.address(user, "pigeon", "canary-address-fields").await;
        }
        let storm = uuid::Uuid::now_v7().to_string();
        let error = DeliveryError::new(storm.clone()).with_status(503);
        let mut pigeons = PigeonSettings::new(move |_| Flight::Ends(Verdict::retry(error.clone())));
        pigeons.loft = 13;
        let dispatcher = app.builder().with(pigeons).build().unwrap();
        let event = PigeonExpected { title: "canary-title-fields".into(), text: "canary-text-fields".into() };
        let _ = dispatcher.enqueue(event.about("canary-subject-fields").to(&users)).await.unwrap();
        let worker = Running::start(&dispatcher);
        let failed = || lines(|line| line.get("error") == Some(&storm));
        app.eventually(async || failed().len() >= 13).await;
        worker.stop().await;

        for (found, fields) in [
            (spans("dispatch", "recipients", "37"), ["event_type", "recipients"].as_slice()),
            (spans("worker", "channel", "\"pigeon\""), &["channel"]),
            (spans("attempt", "deliveries", "13"), &["channel", "deliveries"]),
        ] {
            assert!(!found.is_empty() && found.iter().all(|entry| entry == fields), "{fields:?} in {found:?}");
        }
        let fields = [
            "attempt", "channel", "delivery_id", "error", "error_class", "event_type", "level", "message", "outcome", "status", "target",
        ];
        for line in failed() {
            assert_eq!(line.keys().collect::<Vec<_>>(), fields);
            assert_eq!((line["status"].as_str(), line["error_class"].as_str()), ("503", "\"unavailable\""));
        }
        let leaks = lines(|line| line.values().any(|text| text.contains("canary") && text.contains("fields")));
        assert_eq!(leaks, [] as [Fields; 0]);
    }

    async fn without_a_layer_of_opentelemetry_no_trace_is_stored(app: App) {
        use tracing::Instrument as _;
        collect();
        let notice = PigeonExpected::default().to(["u_ada"]);
        let request = tracing::info_span!("request");
        let _ = app.dispatcher.dispatch(notice).instrument(request).await.unwrap();
        let stored = "select trace_context from {campanile}notification_dispatches";
        assert_eq!(app.database.texts(stored).await, [None]);
        let logged = "select trace_id from {campanile}notification_attempts";
        assert_eq!(app.database.texts(logged).await, [None]);
    }

    async fn a_repeat_is_a_debug_line_with_its_key(app: App) {
        collect();
        let subject = uuid::Uuid::now_v7().to_string();
        for _ in 0..2 {
            let notice = PigeonExpected::default().about(&subject).to(["u_ada", "u_bob"]);
            let _ = app.dispatcher.dispatch(notice).await.unwrap();
        }
        let key = format!("{subject:?}");
        let repeats = lines(|line| line.get("key") == Some(&key));
        let [line] = &repeats[..] else { panic!("{repeats:?}") };
        for (field, value) in [
            ("level", "DEBUG"),
            ("target", "campanile"),
            ("message", "a repeat inside the window of its key"),
            ("event_type", "\"loft.pigeon.expected\""),
            ("deduped", "2"),
        ] {
            assert_eq!(line.get(field).map(String::as_str), Some(value), "{line:?}");
        }
    }

    async fn a_failed_delivery_is_one_structured_line_without_address_or_payload(app: App) {
        collect();
        app.address("u_canary", "pigeon", "canary-address-5be1").await;
        let storm = uuid::Uuid::now_v7().to_string();
        let reason = storm.clone();
        let pigeons = PigeonSettings::new(move |_| Flight::Ends(Verdict::retry(reason.clone())));
        let dispatcher = app.builder().with(pigeons).build().unwrap();
        let event = PigeonExpected { title: "canary-title-77aa".into(), text: "canary-text-90cd".into() };
        let _ = dispatcher.dispatch(event.about("canary-subject").to(["u_canary"])).await.unwrap();
        let failed = lines(|line| line.get("error").is_some_and(|error| error.contains(&storm)));
        let [line] = &failed[..] else { panic!("{failed:?}") };
        for (field, value) in [
            ("level", "WARN"),
            ("target", "campanile"),
            ("message", "a delivery failed"),
            ("event_type", "\"loft.pigeon.expected\""),
            ("channel", "\"pigeon\""),
            ("attempt", "1"),
            ("outcome", "\"retry\""),
        ] {
            assert_eq!(line.get(field).map(String::as_str), Some(value), "{line:?}");
        }
        assert!(line.contains_key("delivery_id"));
        let leaks = lines(|line| {
            let secret = |text: &String| ["canary-address", "canary-title", "canary-text"].iter().any(|canary| text.contains(canary));
            line.values().any(secret)
        });
        assert_eq!(leaks, [] as [Fields; 0]);
    }
}
