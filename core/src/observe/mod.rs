//! **Observe**: metrics and traces. It makes no decisions.

pub(crate) mod telemetry;
pub(crate) mod trace_context;
