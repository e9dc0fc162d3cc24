//! Traces: a later attempt, perhaps by another process, is linked to its dispatch.

use std::sync::OnceLock;

use campanile::operate::DeliveryHistory;
use campanile::{Notice, NotifiableEvent as _};
use campanile_tests::App;
use campanile_tests::events::PigeonAlone;
use opentelemetry::trace::{SpanContext, TraceContextExt as _, TracerProvider as _};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use tracing::Instrument as _;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::layer::SubscriberExt as _;
use uuid::Uuid;

use crate::alone;

/// The spans of this process that have ended since the last test began.
fn spans() -> &'static InMemorySpanExporter {
    static EXPORTER: OnceLock<InMemorySpanExporter> = OnceLock::new();
    EXPORTER.get_or_init(|| {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone());
        let tracer = provider.build().tracer("tests");
        let layer = tracing_opentelemetry::layer().with_tracer(tracer);
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::set_global_default(subscriber).unwrap();
        exporter
    })
}

fn attempts() -> Vec<SpanData> {
    let mut spans = spans().get_finished_spans().unwrap();
    spans.retain(|span| span.name == "attempt");
    spans
}

/// The only attempt, once its span has ended.
async fn attempt(app: &App) -> SpanData {
    app.eventually(async || !attempts().is_empty()).await;
    let mut attempts = attempts();
    assert_eq!(attempts.len(), 1);
    attempts.remove(0)
}

fn notice() -> Notice {
    let text = "canary-text".to_owned();
    PigeonAlone { text }
        .about("canary-subject")
        .to(["u_canary"])
}

/// A request of a host with tracing, and its context in the trace.
fn request() -> (tracing::Span, SpanContext) {
    let request = tracing::info_span!("request");
    let context = request.context().span().span_context().clone();
    assert!(context.is_valid());
    (request, context)
}

async fn history(app: &App) -> DeliveryHistory {
    let notification =
        "select {text(notification_id)} from {campanile}notification_deliveries".to_owned();
    let notification = app.database.texts(&notification).await.remove(0).unwrap();
    let notification = Uuid::parse_str(&notification).unwrap();
    app.dispatcher
        .operations()
        .history(notification)
        .await
        .unwrap()
}

async fn stored(app: &App) -> Option<String> {
    let stored = "select trace_context from {campanile}notification_dispatches";
    app.database.texts(stored).await.remove(0)
}

#[test]
fn a_later_attempt_is_linked_to_its_dispatch() {
    alone(async |app| {
        spans().reset();
        app.address("u_canary", "pigeon", "canary-address").await;
        let (request, context) = request();
        let enqueued = app.dispatcher.enqueue(notice()).instrument(request);
        let _ = enqueued.await.unwrap();
        // The form of `traceparent` in https://www.w3.org/TR/trace-context/.
        let traceparent = format!("00-{}-{}-01", context.trace_id(), context.span_id());
        assert_eq!(stored(&app).await, Some(traceparent));

        assert_eq!(app.dispatcher.deliver_due(10).await.unwrap().sent, 1);
        let attempt = attempt(&app).await;
        let linked: Vec<_> = attempt
            .links
            .links
            .iter()
            .map(|link| (link.span_context.trace_id(), link.span_context.span_id()))
            .collect();
        assert_eq!(linked, [(context.trace_id(), context.span_id())]);
        let its_own = attempt.span_context.trace_id();
        assert_ne!(its_own, context.trace_id());
        // The delivery log contains the trace id.
        let log = history(&app).await.attempts;
        assert_eq!(log[0].trace_id, Some(its_own.to_string()));
        let everything = format!("{:?}", spans().get_finished_spans().unwrap());
        assert!(!everything.contains("canary"), "{everything}");
    });
}

#[test]
fn an_attempt_inside_the_dispatch_is_part_of_its_trace() {
    alone(async |app| {
        spans().reset();
        app.address("u_canary", "pigeon", "canary-address").await;
        let (request, context) = request();
        let dispatched = app.dispatcher.dispatch(notice()).instrument(request);
        assert_eq!(dispatched.await.unwrap().sent, 1);
        let attempt = attempt(&app).await;
        assert_eq!(attempt.span_context.trace_id(), context.trace_id());
        let log = history(&app).await.attempts;
        assert_eq!(log[0].trace_id, Some(context.trace_id().to_string()));
    });
}

#[test]
fn a_dispatch_outside_of_a_trace_stores_none_and_its_attempt_has_no_link() {
    alone(async |app| {
        spans().reset();
        app.address("u_canary", "pigeon", "canary-address").await;
        let _ = app.dispatcher.enqueue(notice()).await.unwrap();
        assert_eq!(stored(&app).await, None);
        assert_eq!(app.dispatcher.deliver_due(10).await.unwrap().sent, 1);
        assert!(attempt(&app).await.links.links.is_empty());
    });
}
