//! The **trace link** from a dispatch to its attempts: the trace that fired an event is stored with the dispatch, and linked from
//! the span of every attempt, which may be made hours later by another process.
//!
//! With the feature `opentelemetry`, where the app's subscriber has the layer of `tracing-opentelemetry`; otherwise there is no
//! link.

use crate::channel::delivery::Delivery;

/// The current trace, as a W3C `traceparent`.
pub(crate) fn current() -> Option<String> {
    #[cfg(feature = "opentelemetry")]
    {
        use opentelemetry::trace::TraceContextExt as _;
        use tracing_opentelemetry::OpenTelemetrySpanExt as _;
        let context = tracing::Span::current().context();
        let context = context.span().span_context().clone();
        context.is_valid().then(|| {
            let flags = context.trace_flags().to_u8();
            format!(
                "00-{}-{}-{flags:02x}",
                context.trace_id(),
                context.span_id()
            )
        })
    }
    #[cfg(not(feature = "opentelemetry"))]
    None
}

/// The trace of this span.
pub(crate) fn trace_id(span: &tracing::Span) -> Option<String> {
    #[cfg(feature = "opentelemetry")]
    {
        use opentelemetry::trace::TraceContextExt as _;
        use tracing_opentelemetry::OpenTelemetrySpanExt as _;
        let context = span.context();
        let context = context.span().span_context().clone();
        context.is_valid().then(|| context.trace_id().to_string())
    }
    #[cfg(not(feature = "opentelemetry"))]
    {
        let _ = span;
        None
    }
}

/// Links the span to the dispatches of these deliveries.
pub(crate) fn link(span: &tracing::Span, deliveries: &[Delivery]) {
    #[cfg(feature = "opentelemetry")]
    {
        use tracing_opentelemetry::OpenTelemetrySpanExt as _;
        let contexts = deliveries
            .iter()
            .filter_map(|delivery| delivery.past.trace_context.as_deref());
        let contexts: std::collections::BTreeSet<&str> = contexts.collect();
        for context in contexts.into_iter().filter_map(parse) {
            span.add_link(context);
        }
    }
    #[cfg(not(feature = "opentelemetry"))]
    let _ = (span, deliveries);
}

#[cfg(feature = "opentelemetry")]
fn parse(traceparent: &str) -> Option<opentelemetry::trace::SpanContext> {
    use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};
    let mut fields = traceparent.split('-').skip(1);
    let trace = TraceId::from_hex(fields.next()?).ok()?;
    let span = SpanId::from_hex(fields.next()?).ok()?;
    let flags = u8::from_str_radix(fields.next()?, 16).ok()?;
    let flags = TraceFlags::new(flags);
    Some(SpanContext::new(
        trace,
        span,
        flags,
        true,
        TraceState::default(),
    ))
}
