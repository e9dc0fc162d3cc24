//! `GET /api/pushes`: what the push channel was asked to send, newest first.

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::inspector::Inspector;

/// A push message to one device.
#[derive(Debug, Serialize)]
pub(crate) struct Push {
    token: String,
    title: String,
    body: String,
}

pub(crate) async fn list(State(inspector): State<Inspector>) -> Json<Vec<Push>> {
    let pushes = inspector.pushes().into_iter().rev();
    let pushes = pushes.map(|message| Push {
        token: message.token,
        title: message.title,
        body: message.body,
    });
    Json(pushes.collect())
}
