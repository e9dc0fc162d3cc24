//! **Observe**: figures and traces. It decides nothing.

pub(crate) mod telemetry;
pub(crate) mod trace_context;
