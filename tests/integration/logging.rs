//! A failing channel is logged with fixed fields, and no log holds an address or a payload.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Mutex, OnceLock};

use campanile::NotifiableEvent as _;
use campanile::delivery::Verdict;
use campanile_pigeon::{Flight, PigeonSettings};
use campanile_tests::events::PigeonExpected;
use campanile_tests::{App, both_databases};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

type Fields = BTreeMap<String, String>;

/// Everything this process logs, from trace level up, also by sqlx. The subscriber is one for all tests, so a test finds
/// its own lines by what is in them.
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
        LINES.lock().unwrap().push(line.0);
    }
}

struct Line(Fields);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}

fn collect() {
    static COLLECTING: OnceLock<()> = OnceLock::new();
    COLLECTING.get_or_init(|| {
        let subscriber = tracing_subscriber::registry().with(Collector);
        tracing::subscriber::set_global_default(subscriber).unwrap();
    });
}

fn lines(wanted: impl Fn(&Fields) -> bool) -> Vec<Fields> {
    let lines = LINES.lock().unwrap();
    lines.iter().filter(|line| wanted(line)).cloned().collect()
}

both_databases! {
    async fn a_failed_delivery_is_one_structured_line_without_address_or_payload(app: App) {
        collect();
        app.address("u_canary", "pigeon", "canary-address-5be1").await;
        let storm = uuid::Uuid::now_v7().to_string();
        let reason = storm.clone();
        let pigeons = PigeonSettings::new(move |_| Flight::Ends(Verdict::retry(reason.clone())));
        let dispatcher = app.builder().with(pigeons).build().unwrap();
        let event = PigeonExpected { title: "canary-title-77aa".into(), text: "canary-text-90cd".into() };
        dispatcher.dispatch(event.about("canary-subject").to(["u_canary"])).await.unwrap();
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
