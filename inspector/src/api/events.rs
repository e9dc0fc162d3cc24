//! `GET /api/events`: every event that can be fired, as the registry knows it, each with an example that can be posted.

use axum::Json;
use axum::extract::State;
use serde_json::Value;

use crate::examples;
use crate::inspector::Inspector;

pub(crate) async fn list(State(inspector): State<Inspector>) -> Json<Value> {
    let mut events = inspector.dispatcher().registry().to_json();
    for event in events.as_array_mut().into_iter().flatten() {
        let example = event["eventType"].as_str().and_then(examples::example);
        event["example"] = example.into();
    }
    Json(events)
}
