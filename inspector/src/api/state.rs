//! `GET /api/state`: what the page polls, so that it fetches the rest only if something changed.

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::api::channels::{self, Channel};
use crate::inspector::Inspector;

/// A summary of the inspector.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Summary {
    database: &'static str,
    mail: &'static str,
    channels: Vec<Channel>,
    captured: Captured,
}

/// How much was captured, and the latest ids, which change with each.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Captured {
    mails: usize,
    latest_mail: Option<String>,
    pushes: usize,
    latest_push: Option<String>,
}

pub(crate) async fn read(State(inspector): State<Inspector>) -> Json<Summary> {
    let (mails, pushes) = (inspector.mails(), inspector.pushes());
    Json(Summary {
        database: inspector.database_name(),
        mail: inspector.mail_sender().name(),
        channels: channels::list(&inspector),
        captured: Captured {
            mails: mails.len(),
            latest_mail: mails
                .last()
                .map(|captured| captured.mail.idempotency_key.clone()),
            pushes: pushes.len(),
            latest_push: pushes.last().map(|message| message.idempotency_key.clone()),
        },
    })
}
