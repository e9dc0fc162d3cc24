//! Mails that were captured instead of sent: `GET /api/mails`, newest first, with a preview of each.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{Html, IntoResponse};
use campanile_email::CapturedMail;
use jiff::Timestamp;
use serde::Serialize;

use crate::api::Named;
use crate::inspector::Inspector;
use crate::problem::Problem;

/// An untrusted document: it may use its own styles, but cannot run scripts or load anything.
const PREVIEW_POLICY: HeaderValue = HeaderValue::from_static(
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; \
     base-uri 'none'; frame-ancestors 'self'",
);

/// A captured mail, as its recipient would have read it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Letter {
    id: String,
    from: String,
    to: String,
    subject: String,
    html: String,
    text: String,
    captured_at: Option<Timestamp>,
}

impl From<CapturedMail> for Letter {
    fn from(
        CapturedMail {
            mail, captured_at, ..
        }: CapturedMail,
    ) -> Self {
        Self {
            id: mail.idempotency_key,
            from: mail.from.to_string(),
            to: mail.to.address().to_owned(),
            subject: mail.subject,
            html: mail.html,
            text: mail.text,
            captured_at: Timestamp::try_from(captured_at).ok(),
        }
    }
}

pub(crate) async fn list(State(inspector): State<Inspector>) -> Json<Vec<Letter>> {
    let mails = inspector.mails().into_iter().rev();
    Json(mails.map(Letter::from).collect())
}

/// `GET /api/mails/{id}/preview`: the HTML part, for a sandboxed frame. It has a policy of its own, because the page's
/// policy would forbid its styles.
pub(crate) async fn preview(
    State(inspector): State<Inspector>,
    Named(id): Named<String>,
) -> Result<impl IntoResponse, Problem> {
    let mails = inspector.mails();
    let captured = mails
        .into_iter()
        .find(|captured| captured.mail.idempotency_key == id)
        .ok_or_else(|| Problem::not_found("UNKNOWN_MAIL", "no captured mail has this id"))?;
    Ok((
        [(header::CONTENT_SECURITY_POLICY, PREVIEW_POLICY)],
        Html(captured.mail.html),
    ))
}
