//! The **settings page**: the preferences for people. Without JavaScript each switch is a form of its own; with
//! JavaScript, a change is saved without loading the page.

pub(crate) mod words;
pub(crate) mod view;

use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use campanile::preferences::{CellChange, Matrix, PreferenceError};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::body::{Form, Search};
use crate::caller::Caller;
use crate::problem::Problem;
use crate::settings_page::view::Note;
use crate::state::Web;

/// Allows the page's own style and script, and requests to its own origin. A host may show the page in a frame.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'self'";

/// Which switch was just turned.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Turned {
    /// Its category.
    category: Option<String>,
    /// Its channel.
    channel: Option<String>,
    /// The version of the preferences after the change: with another one, no switch was just turned.
    version: Option<String>,
}

/// A change of one switch, as its form sends it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SwitchForm {
    category: String,
    channel: String,
    enabled: bool,
    /// The version of the preferences that the page shows.
    version: String,
}

/// Show the settings page
///
/// The preferences as a page for people, with a switch for each channel of each category.
#[utoipa::path(
    get,
    path = "/settings",
    operation_id = "showSettings",
    tag = "settings page",
    params(Turned),
    responses((status = 200, description = "The page", body = String, content_type = "text/html"))
)]
pub(crate) async fn show(
    State(web): State<Web>,
    caller: Caller,
    Search(turned): Search<Turned>,
) -> Result<Response, Problem> {
    let matrix = web.preferences_of(&caller)?.matrix().await?;
    let is_now = turned
        .version
        .is_some_and(|version| version == matrix.version());
    let note = match (&turned.category, &turned.channel) {
        (Some(category), Some(channel)) if is_now => Some(Note::Saved { category, channel }),
        _ => None,
    };
    Ok(page(&web, StatusCode::OK, &matrix, note))
}

/// Turn a switch of the settings page
///
/// For the page's own forms; a program uses `PATCH /preferences`.
#[utoipa::path(
    post,
    path = "/settings",
    operation_id = "submitSettings",
    tag = "settings page",
    request_body(content = SwitchForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 303, description = "The switch was turned; the page shows it", headers(("Location" = String, description = "The page"))),
        (status = 409, description = "The channel is critical and cannot be muted; the page says why", body = String, content_type = "text/html"),
        (status = 412, description = "The preferences have changed; the page shows the current ones", body = String, content_type = "text/html"),
        (status = 422, description = "There is no such switch, and the page says so; or `invalid-body`", body = String, content_type = "text/html"),
    )
)]
pub(crate) async fn submit(
    State(web): State<Web>,
    caller: Caller,
    Form(form): Form<SwitchForm>,
) -> Result<Response, Problem> {
    let preferences = web.preferences_of(&caller)?;
    let SwitchForm {
        category,
        channel,
        enabled,
        version,
    } = form;
    let change = CellChange {
        category,
        channel,
        enabled,
    };
    match preferences.set_at(&version, &change).await {
        Ok(matrix) => Ok(back_to(&change, &matrix)),
        Err(PreferenceError::Store(error)) => Err(error.into()),
        Err(refused) => {
            let matrix = preferences.matrix().await?;
            let problem = Problem::from(refused);
            let note = Note::Refused(&problem);
            Ok(page(&web, problem.kind().status, &matrix, Some(note)))
        }
    }
}

/// Redirects to the page, wherever the host has nested it, so that a reload does not send the form again.
fn back_to(change: &CellChange, matrix: &Matrix) -> Response {
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("category", &change.category)
        .append_pair("channel", &change.channel)
        .append_pair("version", &matrix.version())
        .finish();
    (
        StatusCode::SEE_OTHER,
        [(header::LOCATION, format!("settings?{query}"))],
    )
        .into_response()
}

fn page(web: &Web, status: StatusCode, matrix: &Matrix, note: Option<Note<'_>>) -> Response {
    let said: [(HeaderName, HeaderValue); 2] = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        ),
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(POLICY),
        ),
    ];
    let html = web.page.render(matrix, note);
    (status, said, html).into_response()
}
